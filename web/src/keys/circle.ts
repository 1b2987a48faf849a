import { type Bytes, same } from './bytes';
import { type Person, type Role, moderates } from './desk';
import { type Self, nameOf } from './self';
import { type Entry, MOST_MEMBERS } from './wire';

/** How many people are remembered; whoever comes on top waits until others have left. */
const MOST_PEERS = 64;
const RANKS: Role[] = ['host', 'guest', 'observer', 'reception'];

/** How a key came to be known as somebody's: by a common secret, by a TAN, or by a moderator's word. */
export type How = 'secret' | 'tan' | 'roster';

/** What is known of somebody else. It outlasts a short absence. */
export class Peer {
  readonly name: Bytes;
  /** The key that somebody by this identity said last, true or not. */
  claim: Bytes | undefined;
  /** The key that is theirs. */
  trusted: Bytes | undefined;
  how: How | undefined;
  /** The key that has been told of as theirs. */
  announced: Bytes | undefined;
  /** As a moderator: can take this guest's TAN. */
  ready = false;
  /** The key that has been greeted last, and when. */
  greeted: Bytes | undefined;
  greetedAt = -1;
  /** When to greet again who is not trusted yet. */
  patience = 1;
  /** The key whose proof was wrong. */
  wrong: Bytes | undefined;

  constructor(public person: Person) {
    this.name = nameOf(person.identity);
  }

  get identity(): string {
    return this.person.identity;
  }

  /** The key that was said last is theirs. */
  get settled(): boolean {
    return this.trusted !== undefined && this.claim !== undefined && same(this.trusted, this.claim);
  }

  /** Known without a moderator's word. */
  get direct(): boolean {
    return this.settled && this.how !== 'roster';
  }

  trust(key: Bytes, how: How): void {
    const known = this.trusted !== undefined && same(this.trusted, key);
    this.claim = key;
    if (!known) this.trusted = key;
    // What one has seen oneself counts more than what one was told.
    if (!known || this.how === 'roster') this.how = how;
  }
}

/** Somebody who gets the room's keys. */
export interface Member {
  identity: string;
  role: Role;
  entry: Entry;
}

/** Who is there, as the server says it, and whom of them one knows. */
export class Circle {
  private readonly peers = new Map<string, Peer>();
  private people: readonly Person[] = [];
  private readonly name: Bytes;

  constructor(
    readonly self: Self,
    readonly role: Role,
  ) {
    this.name = nameOf(self.identity);
  }

  /** Oneself is in the room, not before it. */
  get here(): boolean {
    return this.people.some(({ identity, state }) => identity === this.self.identity && state === 'here');
  }

  update(people: readonly Person[]): void {
    const before = new Set(this.people.map(({ identity }) => identity));
    this.people = people;
    for (const person of people) this.meet(person, !before.has(person.identity));
    this.forget();
  }

  /** Somebody who is there and whom messages reach. */
  peer(identity: string): Peer | undefined {
    return this.around().find((peer) => peer.identity === identity);
  }

  around(): Peer[] {
    const { here } = this;
    return this.people.flatMap((person) => {
      const peer = this.peers.get(person.identity);
      // Who waits and who is in the room hear each other only if the latter may open the door.
      const reached = person.state === (here ? 'here' : 'waiting') || (here ? moderates(this) : moderates(person));
      return peer && reached ? [peer] : [];
    });
  }

  /** Those whose keys are known. */
  trusted(): Peer[] {
    return this.around().filter(({ trusted }) => trusted !== undefined);
  }

  /** Who gets keys, from the one who gives them downwards. Nobody where oneself has no place in it. */
  members(): Member[] {
    if (!this.here || !hears(this.role)) return [];
    const others = this.trusted().flatMap(({ identity, person, name, trusted: key }) =>
      key && person.state === 'here' && hears(person.role) ? [{ identity, role: person.role, entry: { name, key } }] : [],
    );
    const me = { identity: this.self.identity, role: this.role, entry: { name: this.name, key: this.self.key } };
    return [me, ...others].sort(byRank).slice(0, MOST_MEMBERS);
  }

  /** Who gives keys, as far as oneself knows. */
  distributor(): string | undefined {
    return this.members().find(({ role }) => speaks(role))?.identity;
  }

  /** Some who are in the room are not known yet. */
  get incomplete(): boolean {
    return this.around().some(({ person, settled, wrong }) => person.state === 'here' && hears(person.role) && !settled && !wrong);
  }

  private meet(person: Person, anew: boolean): void {
    if (person.identity === this.self.identity) return;
    const known = this.peers.get(person.identity);
    if (!known && this.peers.size >= MOST_PEERS) return;
    const peer = known ?? new Peer(person);
    peer.person = person;
    if (anew) {
      peer.greeted = undefined;
      peer.greetedAt = -1;
      peer.patience = 1;
    }
    this.peers.set(person.identity, peer);
  }

  private forget(): void {
    const there = new Set(this.people.map(({ identity }) => identity));
    for (const identity of this.peers.keys()) {
      if (this.peers.size < MOST_PEERS) return;
      if (!there.has(identity)) this.peers.delete(identity);
    }
  }
}

/** Has a part in what is said in the room. Reception opens doors only. */
function hears(role: Role): boolean {
  return role !== 'reception';
}

function speaks(role: Role): boolean {
  return role === 'host' || role === 'guest';
}

export function byRank(one: Pick<Member, 'role' | 'identity'>, other: Pick<Member, 'role' | 'identity'>): number {
  return RANKS.indexOf(one.role) - RANKS.indexOf(other.role) || (one.identity < other.identity ? -1 : 1);
}
