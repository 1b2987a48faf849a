import { describe, expect, it } from 'vitest';
import type { Role } from '../src/keys/desk';
import { sealTan } from '../src/keys/practice';
import type { Tan } from '../src/keys/tan';
import { readMessage } from '../src/keys/wire';
import { Hall, PLACE, byTan, seeded } from './hall';

const practice = Uint8Array.from({ length: 32 }, (_, at) => 200 - at);
const link = Uint8Array.from({ length: 16 }, (_, at) => at);
const tan: Tan = { admit: '7KQ2M9', secret: 'XC4TB' };
const wrong: Tan = { admit: '7KQ2M9', secret: 'XC4TC' };
const invited = async (letter = tan, key = practice) => byTan(await sealTan(key, PLACE, letter));

async function consultation(typed: Tan, ...moderators: [string, Role, object?][]) {
  const hall = new Hall();
  const others = moderators.map(([identity, role, options]) => hall.enter(identity, role, options ?? { practice, link }));
  const guest = hall.enter('guest', 'guest', { tan: typed }, { state: 'waiting', ...(await invited()) });
  await hall.deliver();
  return { hall, guest, others };
}

describe('a guest with a TAN', () => {
  it('is known while still waiting, and gets keys when let in', async () => {
    const { hall, guest, others } = await consultation(tan, ['host', 'host']);
    const [host] = others;
    expect([host?.trusts, guest.trusts]).toEqual([['guest'], ['host']]);
    expect(guest.keys.size).toBe(0);
    const before = host?.key;
    hall.change('guest', { state: 'here' });
    await hall.deliver();
    expect(guest.key).toBe(host?.key);
    expect(guest.key).not.toBe(before);
    expect(guest.group.code).toBe(host?.group.code);
    hall.change('guest', { state: 'waiting' });
    await hall.deliver();
    expect(guest.key).not.toBe(host?.key);
  });

  it('is told once that the TAN is wrong, and so is the moderator', async () => {
    const { hall, guest, others } = await consultation(wrong, ['host', 'host'], ['desk', 'reception']);
    await hall.pass(30);
    const heard = others.flatMap(({ mismatches }) => mismatches);
    expect(heard).toEqual(['guest tan']);
    expect(guest.mismatches).toHaveLength(1);
    hall.change('guest', { state: 'here' });
    await hall.pass(30);
    expect(guest.keys.size === 0 || guest.key !== others[0]?.key).toBe(true);
    expect(others[0]?.group.standing('guest')).not.toBe('trusted');
  });

  it('hears nothing of a moderator but an element and a refusal', async () => {
    const { hall } = await consultation(wrong, ['host', 'host']);
    await hall.pass(30);
    const said = hall.seen.filter(({ from }) => from === 'host').map(({ body }) => readMessage(body)?.type);
    expect(said.filter((type) => type !== 'hello')).toEqual(['answer', 'refuse']);
  });

  it('may type it anew', async () => {
    const { hall, guest, others } = await consultation(wrong, ['host', 'host']);
    guest.group.retry(tan);
    await hall.pass(2);
    expect(others[0]?.group.standing('guest')).toBe('trusted');
    expect(guest.mismatches).toEqual(['host tan']);
  });

  it('has three tries at each moderator, even with a server that counts none', async () => {
    const { hall, guest, others } = await consultation(wrong, ['host', 'host']);
    for (const secret of ['00001', '00002', '00003', 'XC4TB', 'XC4TB']) {
      guest.group.retry({ admit: tan.admit, secret });
      await hall.pass(2);
    }
    expect(others[0]?.mismatches).toHaveLength(3);
    expect(guest.mismatches.length).toBeGreaterThan(3);
    expect(others[0]?.group.standing('guest')).toBe('unknown');
  });

  it('is refused by a moderator whose letter was for another one', async () => {
    const hall = new Hall();
    const host = hall.enter('host', 'host', { practice });
    const guest = hall.enter('guest', 'guest', { tan: { admit: '000000', secret: 'XC4TB' } }, { state: 'waiting', ...(await invited()) });
    await hall.deliver();
    expect([host.mismatches, guest.mismatches]).toEqual([['guest tan'], ['host tan']]);
  });

  it('of whose TAN the server knew the secret half, is known without a practice key', async () => {
    const hall = new Hall();
    const host = hall.enter('host', 'host', {});
    hall.enter('guest', 'guest', { tan }, { state: 'waiting', invitation: { id: 'x', secret: tan.secret } });
    await hall.deliver();
    expect(host.trusts).toEqual(['guest']);
  });

  it.each([
    ['no practice key', { link }, 'guest no-practice-key'],
    ['another practice key', { link, practice: new Uint8Array(32) }, 'guest other-key'],
  ])('is not known to a moderator with %s, who says so, until the key is there', async (_, options, said) => {
    const { hall, guest, others } = await consultation(tan, ['host', 'host', options]);
    await hall.pass(10);
    const [host] = others;
    expect([host?.unable, host?.trusts, guest.trusts, guest.mismatches]).toEqual([[said], [], [], []]);
    host?.group.learn(practice);
    await hall.pass(2);
    expect([host?.trusts, guest.trusts]).toEqual([['guest'], ['host']]);
  });

  it('is introduced by reception to a host without the practice key, and to guests with links', async () => {
    const { hall, guest, others } = await consultation(tan, ['host', 'host', { link }], ['desk', 'reception', { practice, link }]);
    const friend = hall.enter('friend', 'guest', { link });
    hall.change('guest', { state: 'here' });
    await hall.pass(12);
    const [host, desk] = others;
    expect(guest.key).toBeDefined();
    expect([host?.key, friend.key]).toEqual([guest.key, guest.key]);
    expect([host?.group.code, friend.group.code]).toEqual([guest.group.code, guest.group.code]);
    expect(desk?.keys.size).toBe(0);
    // Whoever was introduced stays known when who said so has gone.
    hall.leave('desk');
    await hall.pass(2);
    hall.leave('host');
    await hall.pass(2);
    expect(friend.key).toBe(guest.key);
  });

  it('is known to moderators who know each other by the practice key alone', async () => {
    const { hall, guest, others } = await consultation(tan, ['ada', 'host', { practice }], ['ben', 'host', { practice, link }]);
    hall.change('guest', { state: 'here' });
    await hall.pass(4);
    expect(others.map(({ key }) => key)).toEqual([guest.key, guest.key]);
    expect(guest.key).toBeDefined();
  });

  it('is known again after a reload, on either side', async () => {
    const { hall, others } = await consultation(tan, ['host', 'host']);
    hall.change('guest', { state: 'here' });
    await hall.deliver();
    const guest = hall.enter('guest', 'guest', { tan }, { state: 'here', ...(await invited()) });
    await hall.pass(4);
    expect(guest.key).toBe(others[0]?.key);
    const host = hall.enter('host', 'host', { practice });
    await hall.pass(6);
    expect(host.key).toBeDefined();
    expect(guest.key).toBe(host.key);
    expect([...guest.mismatches, ...host.mismatches]).toEqual([]);
  });

  it.each(Array.from({ length: 6 }, (_, seed) => seed + 1))('is known though messages are lost, doubled and out of order (%i)', async (seed) => {
    const chance = seeded(seed * 104729);
    const hall = new Hall(chance);
    hall.relay = (letter) => (chance(4) === 0 ? [] : chance(4) === 0 ? [letter, letter] : [letter]);
    const moderators = [hall.enter('ada', 'host', { practice }), hall.enter('ben', 'host', { practice }), hall.enter('desk', 'reception', { practice })];
    const guest = hall.enter('guest', 'guest', { tan }, { state: 'waiting', ...(await invited()) });
    await hall.pass(3);
    hall.change('guest', { state: 'here' });
    await hall.pass(3);
    hall.relay = (letter) => [letter];
    await hall.pass(40);
    expect([guest, ...moderators].flatMap(({ mismatches }) => mismatches)).toEqual([]);
    expect(guest.key).toBeDefined();
    expect(moderators.map(({ key }) => key)).toEqual([guest.key, guest.key, undefined]);
  });
});

describe('a server between a guest and a moderator', () => {
  it('that gives itself for either is noticed, and gets one guess', async () => {
    // To the guest it is a host with a practice key of its own, and to the host a guest with a guessed TAN.
    const { hall, guest } = await consultation(tan, ['host', 'host']);
    hall.leave('guest');
    const before = hall.visitor('host').mismatches.length;
    const forger = hall.enter('guest', 'guest', { tan: wrong }, { state: 'here', ...(await invited()) });
    await hall.pass(30);
    expect(hall.visitor('host').mismatches.length - before).toBe(1);
    expect([...forger.keys.values()].some((key) => key.join() === hall.visitor('host').key)).toBe(false);
    expect(guest.keys.size).toBe(0);
  });

  it('cannot put its own key in place of the guest’s', async () => {
    const hall = new Hall();
    const forged = Uint8Array.from({ length: 32 }, (_, at) => at + 1);
    hall.relay = (letter) => [{ ...letter, body: withKey(letter.body, forged) }];
    const host = hall.enter('host', 'host', { practice });
    const guest = hall.enter('guest', 'guest', { tan }, { state: 'here', ...(await invited()) });
    await hall.pass(10);
    expect([host.trusts, guest.trusts]).toEqual([[], []]);
    expect(host.mismatches).toEqual(['guest tan']);
  });

  /** An `ask` with another public key in it. */
  function withKey(body: string, key: Uint8Array): string {
    const bytes = Uint8Array.from(atob(body.replaceAll('-', '+').replaceAll('_', '/')), (c) => c.charCodeAt(0));
    if (bytes[1] !== 1) return body;
    bytes.set(key, 2 + 16);
    return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
  }
});
