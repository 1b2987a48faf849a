import { describe, expect, it } from 'vitest';
import { decodeKey, encodeKey, newKey, parseRoomLink, withKey } from '../src/link';
import { readClaims } from '../src/token';

const key = Uint8Array.from({ length: 16 }, (_, i) => 240 + i);
const parse = (url: string) => parseRoomLink(new URL(url, 'https://konsil.example:8443'));

describe('room links', () => {
  it('reads room, token and key', () => {
    expect(parse(`/r/praxis-7#t=a.b.c&k=${encodeKey(key)}`)).toEqual({
      room: 'praxis-7',
      token: 'a.b.c',
      key,
    });
  });

  it('takes the parts of the fragment in any order and ignores others', () => {
    expect(parse(`/r/x?layout=dual#k=${encodeKey(key)}&z=1&t=a.b.c`)).toEqual({
      room: 'x',
      token: 'a.b.c',
      key,
    });
  });

  it('decodes room names', () => {
    expect(parse('/r/R%C3%B6ntgen%201')?.room).toBe('Röntgen 1');
    expect(parse('/r/%E0%A4%A')).toBeUndefined();
  });

  it('knows what is no room', () => {
    for (const path of ['/', '/r/', '/r/a/b', '/assets/x.js', '/room/a']) expect(parse(path)).toBeUndefined();
  });

  it.each(['', 'AAAA', 'AAAAAAAAAAAAAAAAAAAAAA==', 'AAAAAAAAAAAAAAAAAAAA+A', 'AAAAAAAAAAAAAAAAAAAAAAAA'])(
    'refuses the key %j',
    (text) => expect(decodeKey(text)).toBeUndefined(),
  );

  it('round-trips keys without padding or unsafe characters', () => {
    for (let i = 0; i < 200; i++) {
      const fresh = newKey();
      expect(encodeKey(fresh)).toMatch(/^[A-Za-z0-9_-]{22}$/);
      expect(decodeKey(encodeKey(fresh))).toEqual(fresh);
    }
  });

  it('adds the key to a link with or without a fragment', () => {
    expect(withKey('https://h/r/x#t=a', key)).toBe(`https://h/r/x#t=a&k=${encodeKey(key)}`);
    expect(withKey('https://h/r/x', key)).toBe(`https://h/r/x#k=${encodeKey(key)}`);
  });
});

describe('claims', () => {
  const jwt = (payload: object) => `h.${btoa(JSON.stringify(payload)).replace(/=+$/, '')}.s`;

  it('knows the host', () => {
    const attributes = { 'konsil.role': 'host', 'konsil.mode': 'p2p' };
    const token = jwt({ exp: 7, sub: 'ada', attributes, video: { roomAdmin: true } });
    const host = { role: 'host', host: true, roomAdmin: true, canPublish: true, invitation: false, expiresAt: 7 };
    expect(readClaims(token)).toEqual({ ...host, identity: 'ada', p2p: true });
  });

  it('grants nothing that the token does not say', () => {
    expect(readClaims(jwt({ attributes: { 'konsil.invitation': '1' } }))).toMatchObject({ invitation: true, p2p: false });
    expect(readClaims(jwt({ video: { canPublish: false } }))).toMatchObject({
      host: false,
      roomAdmin: false,
      canPublish: false,
    });
  });

  it.each(['', 'x', 'a.b.c', 'a.%%.c', 'h.bnVsbA.s'])('refuses %j', (token) =>
    expect(readClaims(token)).toBeUndefined(),
  );
});
