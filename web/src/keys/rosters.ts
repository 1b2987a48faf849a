import { type Bytes, digest, same } from './bytes';
import type { Channel } from './channel';
import type { Peer } from './circle';
import { moderates } from './desk';
import { type Entry, type Inner, MOST_MEMBERS } from './wire';

/** How often a list is said again, in ticks: it may have been lost. */
const AGAIN = 8;

interface Told {
  list: Bytes;
  to: Bytes;
  at: number;
}

interface Heard {
  from: Bytes;
  number: number;
  entries: Entry[];
}

/**
 * Moderators introduce those whom they know themselves to each other: a guest with a TAN to a guest with a link, and to a
 * moderator whose browser has no practice key. What was only heard is not passed on.
 */
export class Rosters {
  private readonly told = new Map<Peer, Told>();
  private readonly heard = new Map<Peer, Heard>();
  private number = 0;

  constructor(private readonly channel: Channel) {}

  async step(tick: number): Promise<void> {
    const { circle } = this.channel;
    this.forget();
    this.believe();
    if (!moderates(circle)) return;
    const known = circle.around().filter(({ direct }) => direct).slice(0, MOST_MEMBERS);
    const entries = known.flatMap(({ name, trusted: key }) => (key ? [{ name, key }] : []));
    const list = digest(...entries.flatMap(({ name, key }) => [name, key]));
    // Two who know each other need no third one to say so.
    if (entries.length < 2) return;
    for (const peer of circle.trusted()) await this.tell(peer, entries, list, tick);
  }

  hear(from: Peer, { number, entries }: Extract<Inner, { type: 'roster' }>): void {
    const key = from.trusted;
    const before = this.heard.get(from);
    if (!key || !moderates(from.person) || (before && same(before.from, key) && before.number >= number)) return;
    this.heard.set(from, { from: key, number, entries });
  }

  /** Takes a moderator's word for keys that their owners have said themselves. */
  private believe(): void {
    const { circle } = this.channel;
    for (const [by, { from, entries }] of this.heard) {
      // A word counts as long as its speaker is known oneself, and by the same key.
      if (!by.direct || !by.trusted || !same(by.trusted, from)) continue;
      for (const peer of circle.around()) {
        const { claim, settled, name } = peer;
        if (!claim || settled) continue;
        const said = entries.some((entry) => same(entry.name, name) && same(entry.key, claim));
        if (said) peer.trust(claim, 'roster');
      }
    }
  }

  private async tell(to: Peer, entries: Entry[], list: Bytes, tick: number): Promise<void> {
    const key = to.trusted;
    const before = this.told.get(to);
    if (!key || (before && same(before.list, list) && same(before.to, key) && tick < before.at + AGAIN)) return;
    this.told.set(to, { list, to: key, at: tick });
    this.number += 1;
    await this.channel.whisper(to, { type: 'roster', number: this.number, entries });
  }

  private forget(): void {
    const around = new Set(this.channel.circle.around());
    for (const peer of this.told.keys()) if (!around.has(peer)) this.told.delete(peer);
    for (const peer of this.heard.keys()) if (!around.has(peer)) this.heard.delete(peer);
  }
}
