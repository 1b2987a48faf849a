import { describe, expect, it } from 'vitest';
import { decodePresence, encodePresence } from '../src/p2p/presence';

describe('presence', () => {
  const presence = { name: 'Dr. Ada Lovelace', microphone: true, camera: false, screen: true };

  it('round-trips', () => expect(decodePresence(encodePresence(presence))).toEqual(presence));

  it.each([undefined, 7, '', '{', 'x'.repeat(5000), new ArrayBuffer(4)])('ignores what is none: %j', (message) => {
    expect(decodePresence(message)).toBeUndefined();
  });

  it('takes only what it knows, and cleans names', () => {
    expect(decodePresence('{"name":"a\\u202Eb","camera":1,"evil":true}')).toEqual({
      name: 'a b',
      microphone: false,
      camera: false,
      screen: false,
    });
    expect(decodePresence('null')?.name).toBe('');
  });
});
