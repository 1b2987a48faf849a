import { type Bytes, digest, random, same } from './bytes';
import type { Channel } from './channel';
import { type Member, type Peer, byRank } from './circle';
import { type Entry, EPOCH_KEY, type Inner, LAST_EPOCH, MARK, sorted } from './wire';

type Handed = Extract<Inner, { type: 'epoch' }>;

/** How many keys LiveKit's clients hold at a time. */
export const KEY_RING = 16;
/** How long the first key waits for people who are there but not known yet, in ticks. */
const SETTLE = 3;
/** A key that was not acknowledged is handed out again at each of so many ticks, and after that now and then. */
const EAGER = 5;
const AGAIN = 8;
/** No room gets so far ahead of anybody. Who claims it is not believed, or the numbers could be used up. */
const LONGEST_LEAD = 0x10000;

export interface Epoch {
  number: number;
  key: Bytes;
  /** Who has the key, sorted. */
  entries: Entry[];
  by: Pick<Member, 'role' | 'identity'>;
}

/**
 * The keys of the room, one for as long as the same people are in it. The first in rank of those who may speak makes it and hands
 * it to each of the others. Who hears from two at once follows the first in rank, and so do both of them.
 */
export class Epochs {
  current: Epoch | undefined;
  /** The highest number that anybody who is known has spoken of. */
  private highest = 0;
  private made: { set: Bytes; at: number; again: number; missing: Set<string> } | undefined;
  private told: { to: string; epoch: Epoch; at: number } | undefined;
  /** The last key from each who, as far as one knows, has none to give: that somebody else left may not have been heard yet. */
  private readonly held = new Map<string, Handed>();
  private began: number | undefined;

  constructor(
    private readonly channel: Channel,
    private readonly changed: (epoch: Epoch) => void,
  ) {}

  async step(tick: number): Promise<void> {
    const { circle } = this.channel;
    for (const [identity, handed] of this.held) {
      const peer = circle.peer(identity);
      if (!peer) this.held.delete(identity);
      else if (circle.distributor() === identity) {
        this.held.delete(identity);
        await this.take(peer, handed);
      }
    }
    if (circle.distributor() === circle.self.identity) await this.distribute(tick);
    else await this.follow(tick);
  }

  /** Takes a key that somebody who is known has handed over. */
  async take(from: Peer, handed: Handed): Promise<void> {
    const { circle } = this.channel;
    if (!this.hears(handed.epoch)) return;
    if (circle.distributor() !== from.identity) {
      this.held.set(from.identity, handed);
      return;
    }
    if (this.isNews(from, handed)) {
      const { role, identity } = from.person;
      this.adopt({ number: handed.epoch, key: handed.key, entries: handed.entries, by: { role, identity } });
    }
    // Also in reply to old news: whoever hands out keys must know how far the others are.
    await this.tell(from);
  }

  /** Hears how far somebody is. */
  at(from: Peer, { epoch, mark }: Extract<Inner, { type: 'at' }>): void {
    if (!this.hears(epoch) || epoch !== this.current?.number) return;
    if (same(mark, markOf(this.current))) this.made?.missing.delete(from.identity);
    // Somebody else has given another key by the same number.
    else this.highest = Math.max(this.highest, epoch + 1);
  }

  /** Lets whoever gives keys know, if one has a key from somebody else. */
  private async follow(tick: number): Promise<void> {
    this.made = undefined;
    const { circle } = this.channel;
    const giver = circle.peer(circle.distributor() ?? '');
    const { current, told } = this;
    if (!giver || !current || current.by.identity === giver.identity) return;
    if (told?.to === giver.identity && told.epoch === current && tick < told.at + AGAIN) return;
    this.told = { to: giver.identity, epoch: current, at: tick };
    await this.tell(giver);
  }

  private async tell(to: Peer): Promise<void> {
    const { current } = this;
    if (current) await this.channel.whisper(to, { type: 'at', epoch: current.number, mark: markOf(current) });
  }

  private hears(epoch: number): boolean {
    if (epoch > this.highest + LONGEST_LEAD) return false;
    this.highest = Math.max(this.highest, epoch);
    return true;
  }

  private isNews({ person }: Peer, { epoch, entries }: Handed): boolean {
    const { self } = this.channel.circle;
    const me = this.channel.circle.members().find(({ identity }) => identity === self.identity)?.entry;
    if (!me || !entries.some(({ name, key }) => same(name, me.name) && same(key, me.key))) return false;
    const { current } = this;
    if (!current || epoch > current.number) return true;
    return epoch === current.number && byRank(person, current.by) < 0 && person.identity !== current.by.identity;
  }

  private async distribute(tick: number): Promise<void> {
    const members = this.channel.circle.members();
    const entries = sorted(members.map(({ entry }) => entry));
    const set = digest(...entries.flatMap(({ name, key }) => [name, key]));
    const { made, current } = this;
    if (made && current && same(made.set, set) && this.highest <= current.number) return this.again(members, tick);
    this.began ??= tick;
    if (!current && this.channel.circle.incomplete && tick < this.began + SETTLE) return;
    const number = Math.max(this.highest, current?.number ?? 0) + 1;
    if (number > LAST_EPOCH) return;
    const [first] = members.filter(({ identity }) => identity === this.channel.circle.self.identity);
    if (!first) return;
    this.highest = number;
    this.made = { set, at: tick, again: tick, missing: new Set(members.filter((member) => member !== first).map(({ identity }) => identity)) };
    this.adopt({ number, key: random(EPOCH_KEY), entries, by: first });
    await this.hand(members);
  }

  private async again(members: Member[], tick: number): Promise<void> {
    const { made } = this;
    if (!made || made.missing.size === 0) return;
    const since = tick - made.at;
    if ((since > EAGER && since % AGAIN !== 0) || tick === made.again) return;
    made.again = tick;
    await this.hand(members);
  }

  private async hand(members: Member[]): Promise<void> {
    const { current, made } = this;
    if (!current) return;
    for (const { identity } of members) {
      const peer = this.channel.circle.peer(identity);
      if (!peer || !made?.missing.has(identity)) continue;
      await this.channel.whisper(peer, { type: 'epoch', epoch: current.number, key: current.key, entries: current.entries });
    }
  }

  private adopt(epoch: Epoch): void {
    this.current = epoch;
    this.changed(epoch);
  }
}

function markOf({ key }: Epoch): Bytes {
  return digest('konsil epoch', key).slice(0, MARK);
}
