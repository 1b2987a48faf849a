import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Desk, Person } from '../src/keys/desk';
import { Keyring, fixedKey } from '../src/keys/keyring';
import { PLACE } from './hall';

/** The machine may be busy. */
const PATIENCE = { timeout: 4000 };

/** Desks of a room in which everybody is, and hears what is said at once. */
function room(...identities: string[]) {
  const hears = new Map<string, (from: string, body: string) => void>();
  const sees = new Map<string, (people: Person[]) => void>();
  const people = (): Person[] => [...sees.keys()].map((identity) => ({ identity, role: 'guest', state: 'here', since: 0 }));
  const tell = () => {
    for (const see of sees.values()) see(people());
  };
  const desk = (identity: string): Desk => ({
    send: (to, body) => hears.get(to)?.(identity, body),
    onMessage: (heard) => (hears.set(identity, heard), () => void hears.delete(identity)),
    onPeople: (heard) => {
      sees.set(identity, heard as (people: Person[]) => void);
      return () => {
        sees.delete(identity);
        tell();
      };
    },
  });
  const link = new Uint8Array(16).fill(1);
  const rings = identities.map((identity) => new Keyring(desk(identity), { place: PLACE, identity, role: 'guest', link }));
  tell();
  const rest = async () => {
    for (let turn = 0; turn < 20; turn++) for (const { group } of rings) await group.idle();
    await new Promise((resolve) => setTimeout(resolve, 20));
    for (let turn = 0; turn < 20; turn++) for (const { group } of rings) await group.idle();
  };
  return { rings, rest };
}

describe('a key ring', () => {
  const opened: Keyring[] = [];
  afterEach(() => {
    for (const ring of opened.splice(0)) ring.close();
  });

  it('hands the key of now to who comes late, and later ones', async () => {
    const { rings, rest } = room('a', 'b', 'c');
    opened.push(...rings);
    const [a, b, c] = rings as [Keyring, Keyring, Keyring];
    await vi.waitFor(() => expect(c.group.others()).toHaveLength(2), PATIENCE);
    await rest();
    const taken: string[] = [];
    const stop = b.follow((index, key) => taken.push(`${index} ${key.join()}`));
    const other: string[] = [];
    a.follow((index, key) => other.push(`${index} ${key.join()}`));
    expect(taken).toHaveLength(1);
    expect(taken).toEqual(other);
    c.close();
    await vi.waitFor(() => expect(taken).toHaveLength(2), PATIENCE);
    expect(taken).toEqual(other);
    stop();
  });

  it('has a secret with the partner in a call of two, and none with several', async () => {
    const { rings, rest } = room('a', 'b', 'c');
    opened.push(...rings);
    const [a, b, c] = rings as [Keyring, Keyring, Keyring];
    await vi.waitFor(() => expect(c.group.others()).toHaveLength(2), PATIENCE);
    await rest();
    expect(a.withPartner().now()).toBeUndefined();
    const changed = vi.fn();
    a.withPartner().onChange(changed);
    c.close();
    await vi.waitFor(() => expect(changed).toHaveBeenCalled(), PATIENCE);
    await rest();
    expect(a.withPartner().now()).toBeDefined();
    expect(a.withPartner().now()).toEqual(b.withPartner().now());
  });

  it('may also be of one key', () => {
    const taken: unknown[] = [];
    const key = new Uint8Array(16);
    fixedKey(key).follow((...it) => taken.push(it))();
    expect(taken).toEqual([[0, key]]);
  });
});
