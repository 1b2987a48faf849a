import type { Key } from '../link';
import type { PairSecret } from '../p2p/vouching';
import type { Bytes } from './bytes';
import type { Desk } from './desk';
import { Group, type GroupListener, type GroupOptions } from './group';

/** Takes a key and the place in LiveKit's ring of sixteen where it belongs. */
export type KeyTaker = (index: number, key: Bytes) => void;

/** Where a call's keys come from. */
export interface KeySource {
  /** Hands over the key of now, and each one after it, until the answer is called. */
  follow(take: KeyTaker): () => void;
}

/** The one key of a link, for rooms in which nobody agrees on others. */
export function fixedKey(key: Key): KeySource {
  return {
    follow: (take) => {
      take(0, key);
      return () => undefined;
    },
  };
}

/** The group's keys for whoever encrypts with them: it may come late, and finds the key of now. */
export class Keyring implements KeySource {
  readonly group: Group;
  private now: [index: number, key: Bytes] | undefined;
  private readonly takers = new Set<KeyTaker>();
  private readonly changes = new Set<() => void>();

  constructor(desk: Desk, options: GroupOptions, listener: Partial<GroupListener> = {}) {
    this.group = new Group(desk, options, {
      ...listener,
      onKey: (index, key, epoch) => {
        this.now = [index, key];
        for (const take of this.takers) take(index, key);
        listener.onKey?.(index, key, epoch);
        this.changed();
      },
      onTrust: (identity) => {
        listener.onTrust?.(identity);
        this.changed();
      },
    });
  }

  follow(take: KeyTaker): () => void {
    this.takers.add(take);
    if (this.now) take(...this.now);
    return () => this.takers.delete(take);
  }

  /** For a call of two: what vouches for its connection. */
  withPartner(): PairSecret {
    return {
      now: () => {
        const [partner, ...more] = this.group.others();
        return partner === undefined || more.length > 0 ? undefined : this.group.secretWith(partner, 'certificates');
      },
      fixed: false,
      onChange: (heard) => {
        this.changes.add(heard);
        return () => this.changes.delete(heard);
      },
    };
  }

  close(): void {
    this.group.close();
    this.takers.clear();
    this.changes.clear();
  }

  private changed(): void {
    for (const heard of this.changes) heard();
  }
}
