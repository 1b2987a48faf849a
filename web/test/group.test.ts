import { describe, expect, it } from 'vitest';
import type { Role } from '../src/keys/desk';
import { Hall, type Visitor, seeded } from './hall';

const link = Uint8Array.from({ length: 16 }, (_, at) => at);
const other = new Uint8Array(16);

function agreed(...visitors: Visitor[]): void {
  const [first, ...rest] = visitors;
  expect(first?.key).toBeDefined();
  expect(first?.group.code).toMatch(/^\d{5}( \d{5}){5}$/);
  for (const visitor of rest) {
    expect([visitor.person.identity, visitor.epoch, visitor.key, visitor.group.code]).toEqual([
      visitor.person.identity,
      first?.epoch,
      first?.key,
      first?.group.code,
    ]);
  }
}

const had = (visitor: Visitor) => new Set([...visitor.keys.values()].map((key) => key.join()));

describe('people with a link', () => {
  it('agree on a key', async () => {
    const hall = new Hall();
    const ada = hall.enter('ada', 'host', { link });
    await hall.deliver();
    expect(ada.epoch).toBe(1);
    const bob = hall.enter('bob', 'guest', { link });
    await hall.deliver();
    agreed(ada, bob);
    const eve = hall.enter('eve', 'guest', { link });
    await hall.deliver();
    agreed(ada, bob, eve);
    expect(ada.group.standing('bob')).toBe('trusted');
    expect(eve.keys.size).toBe(1);
  });

  it('keep nothing from whoever left', async () => {
    const hall = new Hall();
    const [ada, bob, eve] = [hall.enter('ada', 'host', { link }), hall.enter('bob', 'guest', { link }), hall.enter('eve', 'guest', { link })];
    await hall.deliver();
    const before = eve.key;
    hall.leave('eve');
    await hall.deliver();
    agreed(ada, bob);
    expect(ada.key).not.toBe(before);
    expect(had(eve).has(ada.key ?? '')).toBe(false);
  });

  it('follow the next one when the one who gives keys has vanished', async () => {
    const hall = new Hall();
    hall.enter('ada', 'host', { link });
    const [bob, eve] = [hall.enter('bob', 'guest', { link }), hall.enter('eve', 'guest', { link })];
    await hall.deliver();
    const { epoch } = bob;
    hall.leave('ada');
    await hall.deliver();
    agreed(bob, eve);
    expect(bob.epoch).toBe(epoch + 1);
  });

  it('follow a host who comes late', async () => {
    const hall = new Hall();
    const [bob, eve] = [hall.enter('bob', 'guest', { link }), hall.enter('eve', 'guest', { link })];
    await hall.deliver();
    const ada = hall.enter('ada', 'host', { link });
    await hall.deliver();
    agreed(ada, bob, eve);
  });

  it('know somebody again who reloads, by another key', async () => {
    const hall = new Hall();
    const ada = hall.enter('ada', 'host', { link });
    const before = hall.enter('bob', 'guest', { link });
    await hall.deliver();
    const bob = hall.enter('bob', 'guest', { link });
    await hall.deliver();
    agreed(ada, bob);
    for (const key of had(before)) expect(had(bob).has(key)).toBe(false);
  });

  it('do not know who has another secret, and say so once', async () => {
    const hall = new Hall();
    const ada = hall.enter('ada', 'host', { link });
    const bob = hall.enter('bob', 'guest', { link: other });
    await hall.pass(20);
    expect([ada.mismatches, bob.mismatches]).toEqual([['bob link'], ['ada link']]);
    expect(ada.group.standing('bob')).toBe('wrong');
    expect(ada.key).not.toBe(bob.key);
    expect(ada.group.code).not.toBe(bob.group.code);
  });

  it('leave reception out of what is said', async () => {
    const hall = new Hall();
    const [ada, desk, bob] = [hall.enter('ada', 'host', { link }), hall.enter('desk', 'reception', { link }), hall.enter('bob', 'observer', { link })];
    await hall.pass(5);
    agreed(ada, bob);
    expect(desk.keys.size).toBe(0);
    expect(desk.group.code).toBeUndefined();
  });

  it('refuse keys from somebody who has none to give, and come together again', async () => {
    const hall = new Hall();
    const [ada, bob, eve] = [hall.enter('ada', 'host', { link }), hall.enter('bob', 'guest', { link }), hall.enter('ann', 'guest', { link })];
    await hall.deliver();
    // She thinks that the host has left, and that keys are hers to give.
    hall.lies.set('ann', (people) => people.filter(({ identity }) => identity !== 'ada'));
    hall.tell();
    await hall.pass(3);
    expect(eve.key).not.toBe(ada.key);
    agreed(ada, bob);
    expect(had(bob).has(eve.key ?? '')).toBe(false);
    hall.lies.clear();
    hall.tell();
    await hall.pass(3);
    agreed(ada, bob, eve);
  });

  it('come together when two gave keys at once', async () => {
    const hall = new Hall();
    const names = ['ada', 'ben', 'cem', 'dan'];
    for (const name of names) {
      const half = names.indexOf(name) % 2;
      hall.lies.set(name, (people) => people.filter(({ identity }) => names.indexOf(identity) % 2 === half));
    }
    const [ada, ben, cem, dan] = names.map((name) => hall.enter(name, 'host', { link })) as [Visitor, Visitor, Visitor, Visitor];
    await hall.pass(5);
    agreed(ada, cem);
    agreed(ben, dan);
    hall.lies.clear();
    hall.tell();
    await hall.pass(5);
    agreed(ada, ben, cem, dan);
  });

  it('have no key where nobody may speak', async () => {
    const hall = new Hall();
    const bob = hall.enter('bob', 'observer', { link });
    await hall.pass(5);
    expect(bob.keys.size).toBe(0);
  });

  it('share a secret by twos, and notes', async () => {
    const hall = new Hall();
    const [ada, bob] = [hall.enter('ada', 'host', { link }), hall.enter('bob', 'guest', { link })];
    expect(ada.group.secretWith('bob', 'x')).toBeUndefined();
    await hall.deliver();
    expect(ada.group.secretWith('bob', 'x')).toEqual(bob.group.secretWith('ada', 'x'));
    expect(ada.group.secretWith('bob', 'y')).not.toEqual(bob.group.secretWith('ada', 'x'));
    ada.group.note('bob', new TextEncoder().encode('hello'));
    await ada.group.idle();
    await hall.deliver();
    expect(bob.notes).toEqual(['ada hello']);
  });
});

describe('a server that is not honest', () => {
  it('learns no key from what it relays', async () => {
    const hall = new Hall();
    const ada = hall.enter('ada', 'host', { link });
    hall.enter('bob', 'guest', { link });
    await hall.deliver();
    const text = hall.seen.map(({ body }) => atob(body.replaceAll('-', '+').replaceAll('_', '/'))).join('\n');
    for (const key of [...ada.keys.values(), link]) expect(text).not.toContain(String.fromCharCode(...key));
  });

  it('gains nothing by saying again what was said', async () => {
    const hall = new Hall();
    const [ada, bob, eve] = [hall.enter('ada', 'host', { link }), hall.enter('bob', 'guest', { link }), hall.enter('eve', 'guest', { link })];
    await hall.deliver();
    hall.leave('eve');
    await hall.deliver();
    const { epoch, key } = bob;
    const old = [...hall.seen];
    for (const letter of old) hall.post(letter);
    await hall.deliver();
    agreed(ada, bob);
    expect([bob.epoch, bob.key]).toEqual([epoch, key]);
    expect(had(eve).has(ada.key ?? '')).toBe(false);
  });

  it('cannot pass a stranger off as a member', async () => {
    const hall = new Hall();
    const [ada, bob] = [hall.enter('ada', 'host', { link }), hall.enter('bob', 'guest', { link })];
    await hall.deliver();
    const stranger = hall.enter('bob', 'guest', {});
    await hall.pass(10);
    expect(stranger.key === undefined || stranger.key !== ada.key).toBe(true);
    expect(had(stranger).has(ada.key ?? '')).toBe(false);
    expect(had(bob).has(ada.key ?? '') && stranger.keys.size > 0 && had(stranger).has(ada.key ?? '')).toBe(false);
  });

  it.each([1, 2, 3, 4])('changes bytes, and nobody comes to hold another key (%i)', async (seed) => {
    const chance = seeded(seed);
    const hall = new Hall(chance);
    hall.relay = (letter) => [letter, { ...letter, body: spoilt(letter.body, chance) }];
    const [ada, bob, eve] = [hall.enter('ada', 'host', { link }), hall.enter('bob', 'guest', { link }), hall.enter('eve', 'guest', { link })];
    await hall.pass(8);
    hall.relay = (letter) => [letter];
    await hall.pass(40);
    agreed(ada, bob, eve);
  });

  it.each(['', '*', 'AAAA', 'AQA', 'AQAA', 'AQYA', 'A'.repeat(4097), 'Aw', 'AQf_'])('is not understood when it says %j', async (body) => {
    const hall = new Hall();
    const [ada, bob] = [hall.enter('ada', 'host', { link }), hall.enter('bob', 'guest', { link })];
    await hall.deliver();
    const { epoch } = ada;
    hall.post({ from: 'bob', to: 'ada', body });
    await hall.deliver();
    agreed(ada, bob);
    expect(ada.epoch).toBe(epoch);
  });

  function spoilt(body: string, chance: (below: number) => number): string {
    const at = chance(body.length);
    const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
    return body.slice(0, at) + letters.charAt(chance(64)) + body.slice(at + 1);
  }
});

describe('up to nine who come and go, with messages late, lost and out of order', () => {
  it.each([1, 2, 3, 4, 5, 6, 14, 26])('seed %i', async (seed) => {
    const chance = seeded(seed * 7919);
    const hall = new Hall(chance);
    hall.relay = (letter) => (chance(10) === 0 ? [] : chance(10) === 0 ? [letter, letter] : [letter]);
    const everything = new Set<string>();
    const barred: { visitor: Visitor; keys: Set<string> }[] = [];
    const gone: { visitor: Visitor; had: number }[] = [];
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'];
    for (let step = 0; step < 25; step++) {
      for (const { keys } of hall.guests.values()) for (const key of keys.values()) everything.add(key.join());
      const identity = names[chance(names.length)] ?? 'a';
      const there = hall.guests.get(identity);
      if (there && chance(4) > 0) {
        hall.leave(identity);
        gone.push({ visitor: there, had: there.keys.size });
      } else if (hall.guests.size < 9 || there) {
        if (there) gone.push({ visitor: there, had: there.keys.size });
        const role: Role = chance(4) === 0 ? 'host' : 'guest';
        barred.push({ visitor: hall.enter(identity, role, { link }), keys: new Set(everything) });
      }
      if (chance(3) > 0) await hall.deliver();
      if (chance(4) === 0) await hall.pass();
    }
    // Two quiet minutes, in which nothing is lost any more.
    hall.relay = (letter) => [letter];
    await hall.pass(40);
    if (hall.guests.size === 0) hall.enter('z', 'host', { link });
    await hall.pass();
    const left = [...hall.guests.values()];
    agreed(...left);
    for (const { visitor } of gone) expect(had(visitor).has(left[0]?.key ?? '')).toBe(false);
    for (const { visitor, keys } of barred) for (const key of had(visitor)) expect(keys.has(key)).toBe(false);
    expect(left.every(({ mismatches }) => mismatches.length === 0)).toBe(true);
  }, 120_000);
});
