import type { Bytes } from '../src/keys/bytes';
import { type Desk, type Invitation, type Person, type Role, moderates } from '../src/keys/desk';
import { Group, type GroupOptions } from '../src/keys/group';

/** Numbers that look random and are the same each time. */
export function seeded(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export const PLACE = { tenant: 'praxis', room: 'sprechstunde' };

interface Letter {
  from: string;
  to: string;
  body: string;
}

/** A server's desk in memory, which holds messages back, changes their order and loses some. */
export class Hall {
  readonly guests = new Map<string, Visitor>();
  /** Everything that the server ever relayed. */
  readonly seen: Letter[] = [];
  /** What the server does with a message; nothing for one that it loses. */
  relay = (letter: Letter): Letter[] => [letter];
  /** What the server tells somebody in place of the truth. */
  readonly lies = new Map<string, (people: Person[]) => Person[]>();
  private letters: Letter[] = [];
  private news = new Map<string, (() => void)[]>();

  constructor(private readonly chance: (below: number) => number = () => 0) {}

  enter(identity: string, role: Role, options: Partial<GroupOptions> = {}, as: Partial<Person> = {}): Visitor {
    this.leave(identity);
    const person: Person = { identity, role, state: 'here', since: 0, ...as };
    const visitor = new Visitor(this, person, { place: PLACE, identity, role, ...options });
    this.guests.set(identity, visitor);
    this.tell();
    return visitor;
  }

  leave(identity: string): void {
    const visitor = this.guests.get(identity);
    if (!visitor) return;
    this.guests.delete(identity);
    visitor.group.close();
    this.news.delete(identity);
    this.tell();
  }

  change(identity: string, as: Partial<Person>): void {
    Object.assign(this.visitor(identity).person, as);
    this.tell();
  }

  visitor(identity: string): Visitor {
    const visitor = this.guests.get(identity);
    if (!visitor) throw new Error(`${identity} is not there`);
    return visitor;
  }

  post(letter: Letter): void {
    this.seen.push(letter);
    this.letters.push(...this.relay(letter));
  }

  /** News of who is there come to each in their order, but to one earlier than to another. */
  tell(): void {
    for (const [identity, visitor] of this.guests) {
      const truth = this.listFor(visitor.person);
      const list = this.lies.get(identity)?.(truth) ?? truth;
      this.news.set(identity, [...(this.news.get(identity) ?? []), () => visitor.sees?.(list)]);
    }
  }

  /** Delivers in any order until nobody says anything any more. */
  async deliver(most = 20_000): Promise<void> {
    for (let count = 0; count < most; count++) {
      const pending = [...this.news.keys()];
      const choice = this.chance(this.letters.length + pending.length);
      const identity = pending[choice - this.letters.length];
      if (choice < this.letters.length) this.hand(this.letters.splice(choice, 1)[0]);
      else if (identity !== undefined) this.inform(identity);
      else return;
      for (const { group } of this.guests.values()) await group.idle();
    }
    throw new Error('they never fall silent');
  }

  /** Lets time pass. */
  async pass(ticks = 1): Promise<void> {
    for (let tick = 0; tick < ticks; tick++) {
      for (const { tick } of this.guests.values()) tick();
      for (const { group } of this.guests.values()) await group.idle();
      await this.deliver();
    }
  }

  private hand(letter: Letter | undefined): void {
    const to = letter && this.guests.get(letter.to);
    const from = letter && this.guests.get(letter.from);
    if (!letter || !to || !from || !may(from.person, to.person)) return;
    to.hears?.(letter.from, letter.body);
  }

  private inform(identity: string): void {
    const [first, ...rest] = this.news.get(identity) ?? [];
    if (rest.length > 0) this.news.set(identity, rest);
    else this.news.delete(identity);
    first?.();
  }

  private listFor(viewer: Person): Person[] {
    const all = [...this.guests.values()].map(({ person }) => ({ ...person }));
    if (moderates(viewer)) return all;
    return all.filter(({ state }) => state === 'here').map(({ invitation: _, ...person }) => person);
  }
}

/** One page. */
export class Visitor {
  readonly group: Group;
  readonly keys = new Map<number, Bytes>();
  readonly mismatches: string[] = [];
  readonly unable: string[] = [];
  readonly trusts: string[] = [];
  readonly notes: string[] = [];
  epoch = 0;
  hears: ((from: string, body: string) => void) | undefined;
  sees: ((people: readonly Person[]) => void) | undefined;
  tick: () => void = () => undefined;

  constructor(
    hall: Hall,
    readonly person: Person,
    options: GroupOptions,
  ) {
    const desk: Desk = {
      send: (to, body) => hall.post({ from: options.identity, to, body }),
      onMessage: (heard) => {
        this.hears = heard;
        return () => (this.hears = undefined);
      },
      onPeople: (heard) => {
        this.sees = heard;
        return () => (this.sees = undefined);
      },
    };
    const listener = {
      onKey: (index: number, key: Bytes, epoch: number) => {
        if (index !== epoch % 16 || epoch < this.epoch) throw new Error('an index or an epoch is wrong');
        this.epoch = epoch;
        this.keys.set(epoch, key);
      },
      onMismatch: (identity: string, by: string) => this.mismatches.push(`${identity} ${by}`),
      onUnable: (identity: string, why: string) => this.unable.push(`${identity} ${why}`),
      onTrust: (identity: string) => this.trusts.push(identity),
      onNote: (identity: string, text: Bytes) => this.notes.push(`${identity} ${new TextDecoder().decode(text)}`),
    };
    this.group = new Group(desk, options, listener, (act) => {
      this.tick = act;
      return () => (this.tick = () => undefined);
    });
  }

  get key(): string | undefined {
    return this.keys.get(this.epoch)?.join();
  }
}

function may(one: Person, other: Person): boolean {
  if (one.state === 'here' && other.state === 'here') return true;
  return one.state !== other.state && moderates(one.state === 'here' ? one : other);
}


/** A guest's invitation as the server tells moderators. */
export function byTan(sealed: string, id = 'invitation'): { invitation: Invitation } {
  return { invitation: { id, sealed } };
}
