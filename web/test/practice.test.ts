import { describe, expect, it } from 'vitest';
import { decodeBase64Url } from '../src/link';
import { random } from '../src/keys/bytes';
import {
  importPracticeKey,
  keepPracticeKey,
  keptPracticeKey,
  openTan,
  practiceFile,
  practiceKey,
  practiceMark,
  practiceRoomSecret,
  practiceText,
  sealTan,
} from '../src/keys/practice';
import { newTan } from '../src/keys/tan';

const place = { tenant: 'praxis', room: 'sprechstunde-7' };
const key = Uint8Array.from({ length: 32 }, (_, at) => at);

function store() {
  const kept = new Map<string, string>();
  return { getItem: (slot: string) => kept.get(slot) ?? null, setItem: (slot: string, value: string) => void kept.set(slot, value), kept };
}

describe('the practice key', () => {
  it('is made once for each tenant', () => {
    const browser = store();
    expect(keptPracticeKey('a', browser)).toBeUndefined();
    const made = practiceKey('a', browser);
    expect(practiceKey('a', browser)).toEqual(made);
    expect(practiceKey('b', browser)).not.toEqual(made);
    keepPracticeKey('a', key, browser);
    expect(practiceKey('a', browser)).toEqual(key);
  });

  it('is made anew where what was kept is no key', () => {
    const browser = store();
    browser.kept.set('konsil.practice.a', 'rubbish');
    expect(practiceKey('a', browser)).toHaveLength(32);
    expect(keptPracticeKey('a', browser)).toEqual(practiceKey('a', browser));
  });

  it('travels as a short text and as a file', () => {
    const text = practiceText(key);
    expect(text).toMatchInlineSnapshot(`"konsil-practice:1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-hDMLS"`);
    expect(importPracticeKey(text)).toEqual(key);
    expect(importPracticeKey(practiceFile(key, 'Schlüssel der Praxis: nicht weitergeben.'))).toEqual(key);
    expect(importPracticeKey(`\ufeff  ${text}\r\n`)).toEqual(key);
  });

  it.each([
    ['nothing', '', 'none'],
    ['something else', 'https://konsil.example/r/x#k=AAAA', 'none'],
    ['a later version', practiceText(key).replace(':1:', ':2:'), 'version'],
    ['one cut short', practiceText(key).slice(0, -1), 'damaged'],
    ['one with more behind it', `${practiceText(key)}A`, 'damaged'],
    ['one with a wrong character', practiceText(key).replace('AwQF', 'AwQG'), 'damaged'],
  ])('says why it takes none from %s', (_, text, fault) => expect(importPracticeKey(text)).toBe(fault));

  it('has a mark that tells it from others', () => {
    expect(practiceMark(key)).toMatch(/^[0-9A-F]{4}$/);
    expect(practiceMark(key)).not.toBe(practiceMark(random(32)));
  });

  it('gives each room a secret of its own', () => {
    const other = practiceRoomSecret(key, { ...place, room: 'x' });
    expect(practiceRoomSecret(key, place)).not.toEqual(other);
    expect(practiceRoomSecret(key, { ...place })).toEqual(practiceRoomSecret(key, place));
  });
});

describe('a sealed TAN', () => {
  it('opens with the same key for the same room', async () => {
    const tan = newTan();
    const sealed = await sealTan(key, place, tan);
    expect(decodeBase64Url(sealed)?.length).toBe(48);
    expect(await openTan(key, place, sealed)).toEqual(tan);
    expect(await sealTan(key, place, tan)).not.toBe(sealed);
  });

  it('stays closed elsewhere, and says why', async () => {
    const sealed = await sealTan(key, place, newTan());
    expect(await openTan(random(32), place, sealed)).toBe('other-key');
    expect(await openTan(key, { ...place, room: 'x' }, sealed)).toBe('damaged');
    expect(await openTan(key, { ...place, tenant: 'x' }, sealed)).toBe('damaged');
  });

  it('does not open when any byte was changed or is missing', async () => {
    const sealed = decodeBase64Url(await sealTan(key, place, newTan())) ?? new Uint8Array();
    const text = (bytes: Uint8Array) => btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
    for (let at = 0; at < sealed.length; at++) {
      const changed = sealed.slice();
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(await openTan(key, place, text(changed))).toBeTypeOf('string');
      expect(await openTan(key, place, text(sealed.slice(0, at)))).toBeTypeOf('string');
    }
    expect(await openTan(key, place, '*')).toBe('damaged');
  });
});
