import { digits } from '../p2p/safety';
import { Answering, type Unable } from './answering';
import { Asking } from './asking';
import { type Bytes, digest } from './bytes';
import { Channel } from './channel';
import { Circle, type Peer } from './circle';
import type { Desk, Person, Role } from './desk';
import { type Epoch, Epochs, KEY_RING } from './epochs';
import { Greeting, type Secrets } from './greeting';
import { type Place, type PracticeKey, practiceRoomSecret } from './practice';
import { Rosters } from './rosters';
import { KEY, derive } from './seal';
import { Self } from './self';
import type { Tan } from './tan';
import { type Inner, type Message, readMessage, sorted } from './wire';

const TICK_MS = 1000;

/** Who one is, where, and what one knows. */
export interface GroupOptions {
  place: Place;
  identity: string;
  role: Role;
  /** The secret of the link's fragment, if one came by a link. */
  link?: Uint8Array;
  /** A guest's TAN. */
  tan?: Tan;
  /** A host's or reception's practice key. */
  practice?: PracticeKey;
}

export interface GroupListener {
  /** The room has a new key: what is sent from now on is encrypted with it, under this index of LiveKit's key ring. */
  onKey(index: number, key: Bytes, epoch: number): void;
  /** The safety code is another; `undefined` while one has no key. */
  onCode?(code: string | undefined): void;
  /**
   * Somebody by this identity does not know the secret that they should know: the moderator hears of a wrong TAN, and so does
   * the guest, each once; of a wrong link secret both hear once.
   */
  onMismatch?(identity: string, by: 'tan' | 'link'): void;
  /** This browser cannot take a guest's TAN. */
  onUnable?(identity: string, why: Unable): void;
  /** Somebody's key has come to be known, or another one. */
  onTrust?(identity: string): void;
  /** Somebody who is known has sent something for oneself alone. */
  onNote?(identity: string, text: Bytes): void;
}

/** How somebody stands: `wrong` did not know the secret. */
export type Standing = 'unknown' | 'trusted' | 'wrong';

/** Calls `act` again and again, until the answer is called. */
export type Every = (act: () => void) => () => void;

const everySecond: Every = (act) => {
  const timer = setInterval(act, TICK_MS);
  return () => clearInterval(timer);
};

/**
 * Agrees with everybody in the room on the keys, over a server that relays and learns none of them. All that happens is taken
 * one after the other.
 */
export class Group {
  /** What all in the room can compare. */
  code: string | undefined;
  private readonly circle: Circle;
  private readonly channel: Channel;
  private readonly greeting: Greeting;
  private readonly answering: Answering;
  private readonly asking: Asking | undefined;
  private readonly rosters: Rosters;
  private readonly epochs: Epochs;
  private readonly stops: (() => void)[];
  private turn: Promise<void> = Promise.resolve();
  private ticks = 0;
  private closed = false;

  constructor(
    desk: Desk,
    private readonly options: GroupOptions,
    private readonly listener: GroupListener,
    every: Every = everySecond,
  ) {
    const { place, identity, role, link, practice, tan } = options;
    this.circle = new Circle(new Self(identity, place), role);
    const channel = new Channel(desk, this.circle);
    this.channel = channel;
    const secrets: Secrets = {
      ...(link && { link }),
      ...(practice && { practice: practiceRoomSecret(practice, place) }),
    };
    const wrong = (by: 'tan' | 'link') => (peer: Peer) => listener.onMismatch?.(peer.identity, by);
    this.greeting = new Greeting(channel, secrets, (peer) => this.answering.ready(peer), wrong('link'));
    this.answering = new Answering(channel, place, practice, {
      mismatch: wrong('tan'),
      unable: (peer, why) => listener.onUnable?.(peer.identity, why),
      ready: (peer) => this.greeting.greet(peer, !peer.settled),
    });
    this.asking = tan && new Asking(channel, place, tan, wrong('tan'));
    this.rosters = new Rosters(channel);
    this.epochs = new Epochs(channel, (epoch) => this.adopt(epoch));
    this.stops = [
      desk.onPeople((people) => this.next(() => this.people(people))),
      desk.onMessage((from, body) => this.next(() => this.hear(from, body))),
      every(() => this.next(async () => void (this.ticks += 1))),
    ];
  }

  /** Tries another TAN, after a typing error that the check character could not notice. */
  retry(tan: Tan): void {
    this.next(async () => this.asking?.retry(tan));
  }

  /** Takes the practice key that was imported meanwhile. */
  learn(practice: PracticeKey): void {
    this.next(async () => {
      this.greeting.learn('practice', practiceRoomSecret(practice, this.options.place));
      await this.answering.learn(practice);
    });
  }

  /** Takes the secret that the room's links have from now on. */
  meetByLink(link: Uint8Array): void {
    this.next(async () => this.greeting.learn('link', link));
  }

  standing(identity: string): Standing {
    const peer = this.circle.peer(identity);
    if (peer?.settled) return 'trusted';
    return peer?.wrong ? 'wrong' : 'unknown';
  }

  /** The others in the room whose keys are known, without reception. */
  others(): string[] {
    const { identity: own } = this.options;
    return this.circle.members().flatMap(({ identity }) => (identity === own ? [] : [identity]));
  }

  /** A secret that only oneself and somebody who is known have, another for each purpose; `undefined` until they are known. */
  secretWith(identity: string, purpose: string): Bytes | undefined {
    const key = this.circle.peer(identity)?.trusted;
    const pair = key && this.circle.self.pair({ identity, key });
    return pair && derive(pair, KEY, 'konsil purpose', purpose);
  }

  /** Sends something of at most a kilobyte to somebody who is known, for their eyes only. It may be lost. */
  note(identity: string, text: Bytes): void {
    this.next(async () => {
      const peer = this.circle.peer(identity);
      if (peer) await this.channel.whisper(peer, { type: 'note', text });
    });
  }

  /** Resolves when all that has been heard so far is done. */
  idle(): Promise<void> {
    return this.turn;
  }

  close(): void {
    this.closed = true;
    for (const stop of this.stops) stop();
  }

  private next(act: () => Promise<void>): void {
    this.turn = this.turn
      .then(async () => {
        if (this.closed) return;
        await act();
        await this.settle();
      })
      .catch((error: unknown) => console.warn('a step of the keys failed', (error as Error).name));
  }

  private async people(people: readonly Person[]): Promise<void> {
    this.circle.update(people);
    await this.answering.look();
  }

  private async hear(from: string, body: string): Promise<void> {
    const peer = this.circle.peer(from);
    const message = peer && readMessage(body);
    if (peer && message) await this.take(peer, message);
  }

  private async take(peer: Peer, message: Message): Promise<void> {
    switch (message.type) {
      case 'hello':
        return this.greeting.hear(peer, message);
      case 'ask':
        return this.answering.ask(peer, message);
      case 'answer':
        return this.asking?.answer(peer, message);
      case 'confirm':
        return this.answering.confirm(peer, message);
      case 'confirmed':
        return this.asking?.confirmed(peer, message);
      case 'refuse':
        return this.asking?.refuse(peer, message);
      case 'sealed': {
        const inner = await this.channel.hear(peer, message);
        // Either of both knows the other by a key of yesterday.
        return inner ? this.overhear(peer, inner) : this.greeting.again(peer);
      }
    }
  }

  private async overhear(peer: Peer, inner: Inner): Promise<void> {
    switch (inner.type) {
      case 'roster':
        return this.rosters.hear(peer, inner);
      case 'epoch':
        return this.epochs.take(peer, inner);
      case 'at':
        return this.epochs.at(peer, inner);
      case 'note':
        return this.listener.onNote?.(peer.identity, inner.text);
    }
  }

  /** Does what follows from what is known now. */
  private async settle(): Promise<void> {
    this.greeting.step(this.ticks);
    this.asking?.step(this.ticks);
    await this.rosters.step(this.ticks);
    this.announce();
    await this.epochs.step(this.ticks);
  }

  private announce(): void {
    for (const peer of this.circle.trusted()) {
      if (peer.announced === peer.trusted) continue;
      peer.announced = peer.trusted;
      this.listener.onTrust?.(peer.identity);
    }
  }

  private adopt({ number, key, entries }: Epoch): void {
    const { tenant, room } = this.options.place;
    const all = sorted(entries).flatMap(({ name, key }) => [name, key]);
    this.listener.onKey(number % KEY_RING, key, number);
    this.code = digits(digest('konsil group code 1', tenant, room, ...all));
    this.listener.onCode?.(this.code);
  }
}
