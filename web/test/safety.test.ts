import { describe, expect, it } from 'vitest';
import { fingerprintOf, safetyCode } from '../src/p2p/safety';

const bytes = (first: string) => [first, ...Array.from({ length: 31 }, () => '0A')].join(':');
const A = bytes('AA');
const B = bytes('BB');
const line = (value: string, hash = 'sha-256') => `a=fingerprint:${hash} ${value}\r\n`;

describe('fingerprints', () => {
  it('are one, however often they are said', () => {
    expect(fingerprintOf(`v=0\r\n${line(A)}m=audio\r\n${line(A.toLowerCase(), 'SHA-256')}`)).toBe(A);
  });

  it.each([
    ['none', 'v=0\r\n'],
    ['two', line(A) + line(B)],
    ['a weaker hash', line(A, 'sha-1')],
    ['a weaker one besides', line(A) + line('AA:BB', 'sha-1')],
    ['one cut short', line('AA:BB')],
    ['one more in other letters', `${line(A)}A=FINGERPRINT:sha-256 ${B}\r\n`],
    ['one more after a blank', `${line(A)} a=fingerprint:sha-256 ${B}\r\n`],
  ])('%s', (_, sdp) => expect(fingerprintOf(sdp)).toBeUndefined());
});

describe('safety code', () => {
  it('is the same on both sides, and the one of this page for ever', async () => {
    const code = await safetyCode(A, B);
    expect(await safetyCode(B, A)).toBe(code);
    expect(code).toMatch(/^\d{5}( \d{5}){5}$/);
    expect(code).toMatchInlineSnapshot(`"79630 23148 15676 11247 44241 67919"`);
  });

  it('differs where somebody stands between', async () => {
    const C = bytes('CC');
    expect(await safetyCode(A, C)).not.toBe(await safetyCode(C, B));
  });
});
