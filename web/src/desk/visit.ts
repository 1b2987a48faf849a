import { type Admission, NotAdmitted, admission } from '../call/admission';
import type { EndReason } from '../call/reasons';
import { type Person, moderates } from '../keys/desk';
import { Keyring } from '../keys/keyring';
import type { Unable } from '../keys/answering';
import { type PracticeKey, keptPracticeKey, practiceKey } from '../keys/practice';
import type { Tan } from '../keys/tan';
import type { Key } from '../link';
import { DeskClient } from './client';
import { DeskNames } from './names';
import type { ByeReason, Standing } from './wire';

const ENDS: Record<ByeReason, EndReason> = {
  refused: 'turnedAway',
  removed: 'removed',
  ended: 'closed',
  replaced: 'replaced',
  revoked: 'removed',
  shutdown: 'shutdown',
  expired: 'expired',
  left: 'left',
};

/** Why somebody's name is not known for sure. */
export type Doubt = Unable | 'wrong-tan' | 'wrong-link';

/** What somebody brings along who comes to a desk. */
export interface Luggage {
  name: string;
  key: Key | undefined;
  tan: Tan | undefined;
}

/** One stay at the desk of a room, from the way in to the end: the connection, the keys, who is called what. */
export class Visit {
  readonly desk: DeskClient;
  readonly names: DeskNames;
  ring: Keyring | undefined;
  /** The desk is connected. */
  connected = false;
  readonly ended: Promise<EndReason>;
  readonly doubts = new Map<string, Doubt>();
  /** The guest's own TAN did not fit. */
  wrongTan = false;
  private end: (reason: EndReason) => void = () => undefined;
  private readonly changes = new Set<() => void>();

  constructor(
    readonly entry: Admission,
    private readonly luggage: Luggage,
  ) {
    this.ended = new Promise((resolve) => (this.end = resolve));
    this.names = new DeskNames(
      luggage.name,
      () => this.ring?.group ?? { note: () => undefined },
      () => this.changed(),
    );
    this.desk = new DeskClient(entry.token, {
      standing: (standing) => this.stand(standing),
      bye: (reason) => this.end(ENDS[reason] ?? 'lost'),
      lost: (ask) => {
        this.connected = false;
        this.changed();
        if (ask) void this.ask();
      },
    });
    this.desk.onPeople((people) => this.look(people));
  }

  get standing(): Standing | undefined {
    return this.desk.standing;
  }

  get others(): Person[] {
    return this.desk.people.filter(({ identity }) => identity !== this.standing?.identity);
  }

  get moderates(): boolean {
    return this.standing !== undefined && moderates(this.standing);
  }

  get practice(): PracticeKey | undefined {
    return keptPracticeKey(this.entry.tenant);
  }

  /** Takes a practice key that was imported meanwhile. */
  learn(practice: PracticeKey): void {
    for (const [identity, doubt] of this.doubts) {
      if (doubt === 'no-practice-key' || doubt === 'other-key') this.doubts.delete(identity);
    }
    this.ring?.group.learn(practice);
    this.changed();
  }

  /** Gives the room a secret that its links carry from now on. */
  share(key: Key): void {
    this.luggage.key = key;
    this.ring?.group.meetByLink(key);
  }

  get key(): Key | undefined {
    return this.luggage.key;
  }

  /** Tries the TAN as it was typed anew. */
  retry(tan: Tan): void {
    this.wrongTan = false;
    this.ring?.group.retry(tan);
    this.changed();
  }

  /** Both sides of a call of two have something in common by which their browsers can know each other. */
  partnerIsKnowable(): boolean {
    if (this.luggage.key || this.luggage.tan) return true;
    return this.moderates && this.others.some(({ role, state, invitation }) => state === 'here' && !moderates({ role }) && invitation);
  }

  onChange(heard: () => void): () => void {
    this.changes.add(heard);
    return () => this.changes.delete(heard);
  }

  leave(): void {
    this.desk.leave();
    this.end('left');
  }

  close(): void {
    this.desk.close();
    this.ring?.close();
    this.names.close();
    this.changes.clear();
  }

  private stand(standing: Standing): void {
    this.connected = true;
    this.ring ??= this.openRing(standing);
    this.changed();
  }

  private openRing({ identity, role }: Standing): Keyring {
    const { entry, luggage } = this;
    const { tenant, room } = entry;
    // A host's first visit makes the practice's key; reception gets it from there.
    const practice = role === 'host' ? practiceKey(tenant) : role === 'reception' ? keptPracticeKey(tenant) : undefined;
    const { key: link, tan } = luggage;
    const options = { place: { tenant, room }, identity, role, ...(link && { link }), ...(tan && { tan }), ...(practice && { practice }) };
    return new Keyring(this.desk, options, {
      onCode: () => this.changed(),
      onTrust: (other) => {
        this.doubts.delete(other);
        this.names.meet(other);
        this.changed();
      },
      onNote: (other, text) => this.names.hear(other, text),
      onUnable: (other, why) => this.doubt(other, why),
      onMismatch: (other, by) => this.mismatch(other, by),
    });
  }

  private mismatch(other: string, by: 'tan' | 'link'): void {
    if (!this.moderates && by === 'tan') {
      this.wrongTan = true;
      return this.changed();
    }
    if (by === 'tan') this.desk.order('mismatch', other);
    this.doubt(other, by === 'tan' ? 'wrong-tan' : 'wrong-link');
  }

  private doubt(other: string, doubt: Doubt): void {
    this.doubts.set(other, doubt);
    this.changed();
  }

  private look(people: readonly Person[]): void {
    const there = new Set(people.map(({ identity }) => identity));
    if (people.length > 0) {
      this.names.keep(there);
      for (const identity of this.doubts.keys()) if (!there.has(identity)) this.doubts.delete(identity);
    }
    this.changed();
  }

  /** A desk that does not open says no more than that; the way in says why. */
  private async ask(): Promise<void> {
    try {
      await admission({ token: this.entry.token });
    } catch (error) {
      // Whoever was in already keeps trying; who never came in is told.
      if (error instanceof NotAdmitted && (error.reason !== 'unreachable' || !this.ring)) this.end(error.reason);
    }
  }

  private changed(): void {
    for (const heard of this.changes) heard();
  }
}
