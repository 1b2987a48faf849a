import { tanChannel } from './asking';
import { type Bytes, same, utf8 } from './bytes';
import type { Channel } from './channel';
import type { Peer } from './circle';
import { CPace, CPaceError, type Finished } from './cpace';
import { type Invitation, moderates } from './desk';
import { type Place, type PracticeKey, type SealFault, openTan } from './practice';
import { SECRET, normalise } from './tan';
import type { Message, Refusal } from './wire';

/** Wrong secrets for one invitation after which it is answered no more, whatever the server thinks of it. */
const MOST_WRONG = 3;
/** How many invitations are remembered. */
const MOST_INVITATIONS = 256;

/** Why a moderator cannot take a guest's TAN. */
export type Unable = 'no-practice-key' | SealFault;

/** What a moderator knows of a TAN. Of one that the server made it is only the secret half. */
interface Opened {
  admit: string | undefined;
  secret: string;
}

interface Known {
  invitation: Invitation;
  opened: Opened | Unable;
}

interface Run {
  session: Bytes;
  element: Bytes;
  key: Bytes;
  answer: Bytes;
  finished: Finished;
  done: boolean;
}

/** A moderator: takes the TANs of guests, those that the practice key opens. */
export class Answering {
  private readonly known = new Map<string, Known>();
  private readonly runs = new Map<string, Run>();
  private readonly wrong = new Map<string, number>();

  constructor(
    private readonly channel: Channel,
    private readonly place: Place,
    private practice: PracticeKey | undefined,
    private readonly listener: { mismatch(peer: Peer): void; unable(peer: Peer, why: Unable): void; ready(peer: Peer): void },
  ) {}

  /** Takes another practice key. */
  async learn(practice: PracticeKey): Promise<void> {
    this.practice = practice;
    this.known.clear();
    await this.look();
  }

  ready(peer: Peer): boolean {
    return typeof this.known.get(peer.identity)?.opened === 'object';
  }

  /** Looks through who is there for guests with a TAN. */
  async look(): Promise<void> {
    if (!moderates(this.channel.circle)) return;
    const around = this.channel.circle.around();
    for (const peer of around) {
      const { invitation } = peer.person;
      if (!invitation || sameInvitation(this.known.get(peer.identity)?.invitation, invitation)) continue;
      const opened = await this.open(invitation);
      this.known.set(peer.identity, { invitation, opened });
      if (typeof opened === 'string') this.listener.unable(peer, opened);
      else this.listener.ready(peer);
    }
    for (const identity of this.known.keys()) {
      if (around.some((peer) => peer.identity === identity)) continue;
      this.known.delete(identity);
      this.runs.delete(identity);
    }
  }

  ask(from: Peer, { session, key, element, admit }: Extract<Message, { type: 'ask' }>): void {
    const known = this.known.get(from.identity);
    if (!known) return;
    if (typeof known.opened === 'string') return this.refuse(from, session, 'unable');
    if ((this.wrong.get(known.invitation.id) ?? 0) >= MOST_WRONG) return this.refuse(from, session, 'too-many');
    const before = this.runs.get(from.identity);
    if (before && same(before.session, session)) {
      // The answer may have been lost, and the same question is no new guess.
      if (same(before.element, element) && same(before.key, key)) this.answer(from, before);
      return;
    }
    const { self } = this.channel.circle;
    const channel = tanChannel(this.place, known.opened.admit ?? admit, from.identity, self.identity);
    const cpace = new CPace('responder', { password: utf8(known.opened.secret), channel, session }, self.key);
    try {
      const finished = cpace.finish({ element, data: key });
      const run = { session, element, key, answer: cpace.share.element as Bytes, finished, done: false };
      this.runs.set(from.identity, run);
      this.answer(from, run);
    } catch (error) {
      if (!(error instanceof CPaceError)) throw error;
    }
  }

  /** The guest goes first: a wrong guess is noticed here, and is told nothing by it but that it was wrong. */
  confirm(from: Peer, { session, tag }: Extract<Message, { type: 'confirm' }>): void {
    const run = this.runs.get(from.identity);
    const known = this.known.get(from.identity);
    if (!run || !known || !same(run.session, session)) return;
    if (!run.finished.confirms(tag)) {
      // What comes late or again does no harm to a run that was right.
      if (run.done) return;
      this.runs.delete(from.identity);
      this.count(known.invitation.id);
      this.listener.mismatch(from);
      return this.refuse(from, session, 'wrong');
    }
    if (!run.done) from.trust(run.key, 'tan');
    run.done = true;
    this.channel.say(from, { type: 'confirmed', session, tag: run.finished.tag });
  }

  private async open({ sealed, secret }: Invitation): Promise<Opened | Unable> {
    if (secret !== undefined) {
      const text = normalise(secret);
      return text?.length === SECRET ? { admit: undefined, secret: text } : 'damaged';
    }
    if (!this.practice) return 'no-practice-key';
    return openTan(this.practice, this.place, sealed ?? '');
  }

  private answer(to: Peer, { session, answer: element }: Run): void {
    this.channel.say(to, { type: 'answer', session, key: this.channel.circle.self.key, element });
  }

  private refuse(to: Peer, session: Bytes, reason: Refusal): void {
    this.channel.say(to, { type: 'refuse', session, reason });
  }

  private count(invitation: string): void {
    const [oldest] = this.wrong.keys();
    if (this.wrong.size >= MOST_INVITATIONS && oldest !== undefined && !this.wrong.has(invitation)) this.wrong.delete(oldest);
    this.wrong.set(invitation, (this.wrong.get(invitation) ?? 0) + 1);
  }
}

function sameInvitation(one: Invitation | undefined, other: Invitation): boolean {
  return one !== undefined && one.id === other.id && one.sealed === other.sealed && one.secret === other.secret;
}
