import { type Bytes, listed, random, same, utf8 } from './bytes';
import type { Channel } from './channel';
import type { Peer } from './circle';
import { CPace, CPaceError, type Finished } from './cpace';
import { moderates } from './desk';
import type { Place } from './practice';
import type { Tan } from './tan';
import { type Message, SESSION } from './wire';

/** Each run lets whoever claims to be a moderator try one secret of 33 million; so many in one stay, then no more. */
const MOST_RUNS = 16;
/** How long a moderator may take, in ticks. */
const PATIENCE = 5;

interface Run {
  with: string;
  session: Bytes;
  cpace: CPace;
  began: number;
  repeated: number;
  admit: string;
  /** What came of the answer. */
  finished: (Finished & { key: Bytes }) | undefined;
}

/** What a guest and a moderator exchange secrets for: this room, this TAN, these two. */
export function tanChannel({ tenant, room }: Place, admit: string, guest: string, moderator: string): Bytes {
  return listed('konsil tan', tenant, room, admit, guest, moderator);
}

/** A guest with a TAN: makes itself known to the moderators, one after the other, so that a wrong TAN is noticed once. */
export class Asking {
  private run: Run | undefined;
  private runs = 0;
  private refused = false;

  constructor(
    private readonly channel: Channel,
    private readonly place: Place,
    private tan: Tan,
    private readonly mismatch: (peer: Peer) => void,
  ) {}

  /** Tries again, with what was typed anew. */
  retry(tan: Tan): void {
    this.tan = tan;
    this.refused = false;
    this.run = undefined;
  }

  step(tick: number): void {
    const { run } = this;
    const peer = run && this.channel.circle.peer(run.with);
    if (run && (!peer || tick - run.began > PATIENCE)) {
      // Others first: who does not answer comes last.
      if (peer) peer.ready = false;
      this.run = undefined;
    } else if (run && peer && tick > run.repeated) {
      run.repeated = tick;
      this.speak(peer, run);
    }
    if (!this.run) this.begin(tick);
  }

  answer(from: Peer, { session, key, element }: Extract<Message, { type: 'answer' }>): void {
    const { run } = this;
    if (!run || run.finished || run.with !== from.identity || !same(run.session, session)) return;
    try {
      run.finished = { ...run.cpace.finish({ element, data: key }), key };
    } catch (error) {
      if (!(error instanceof CPaceError)) throw error;
      return this.fail(from);
    }
    this.speak(from, run);
  }

  confirmed(from: Peer, { session, tag }: Extract<Message, { type: 'confirmed' }>): void {
    const { run } = this;
    if (!run?.finished || run.with !== from.identity || !same(run.session, session)) return;
    if (!run.finished.confirms(tag)) return this.fail(from);
    this.run = undefined;
    from.trust(run.finished.key, 'tan');
  }

  refuse(from: Peer, { session, reason }: Extract<Message, { type: 'refuse' }>): void {
    if (this.run?.with !== from.identity || !same(this.run.session, session)) return;
    if (reason !== 'unable') return this.fail(from);
    from.ready = false;
    this.run = undefined;
  }

  private begin(tick: number): void {
    if (this.refused || this.runs >= MOST_RUNS) return;
    const { circle } = this.channel;
    const peer = circle.around().find(({ person, claim, ready, direct }) => moderates(person) && claim && ready && !direct);
    if (!peer) return;
    this.runs += 1;
    const session = random(SESSION);
    const { admit, secret } = this.tan;
    const channel = tanChannel(this.place, admit, circle.self.identity, peer.identity);
    const cpace = new CPace('initiator', { password: utf8(secret), channel, session }, circle.self.key);
    this.run = { with: peer.identity, session, cpace, admit, began: tick, repeated: tick, finished: undefined };
    this.speak(peer, this.run);
  }

  /** Says the step that the run is at, for the first time or again. */
  private speak(to: Peer, { session, cpace, admit, finished }: Run): void {
    if (finished) return this.channel.say(to, { type: 'confirm', session, tag: finished.tag });
    this.channel.say(to, { type: 'ask', session, key: this.channel.circle.self.key, element: cpace.share.element as Bytes, admit });
  }

  private fail(from: Peer): void {
    this.run = undefined;
    this.refused = true;
    this.mismatch(from);
  }
}
