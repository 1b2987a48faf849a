import { describe, expect, it } from 'vitest';
import { ALPHABET, checkCharacter, formatTan, newTan, normalise, parseTan } from '../src/keys/tan';
import vectors from './tan-vectors.json';

describe('TAN', () => {
  it.each(vectors.valid)('$typed is $tan', ({ typed, tan, admit, secret }) => {
    expect(parseTan(typed)).toEqual({ admit, secret });
    expect(formatTan({ admit, secret })).toBe(tan);
  });

  it.each(vectors.faulty)('$typed is refused: $fault', ({ typed, fault }) => expect(parseTan(typed)).toBe(fault));

  it('is made of the whole alphabet, and reads as it is written', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 500; i++) {
      const tan = newTan();
      const text = formatTan(tan);
      expect(text).toMatch(/^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
      expect(parseTan(text.toLowerCase())).toEqual(tan);
      for (const character of tan.admit + tan.secret) seen.add(character);
    }
    expect(seen.size).toBe(ALPHABET.length);
  });
});

describe('check character', () => {
  const whole = (text: string) => text + checkCharacter(text);

  // The rule is linear, so what one word shows holds for all; some are tried all the same.
  it.each(['00000000000', '7KQ2M9XC4TB', 'ZZZZZZZZZZZ', '0123456789A'])('notices each wrong character in %s', (word) => {
    const text = whole(word);
    for (let place = 0; place < text.length; place++) {
      for (const character of ALPHABET) {
        if (character === text.charAt(place)) continue;
        expect(parseTan(text.slice(0, place) + character + text.slice(place + 1))).toBe('check');
      }
    }
  });

  it('notices each pair of neighbours that changed places', () => {
    for (let place = 0; place < 11; place++) {
      for (const left of ALPHABET) {
        for (const right of ALPHABET) {
          const text = pair(place, left, right);
          const swapped = text.slice(0, place) + text.charAt(place + 1) + text.charAt(place) + text.slice(place + 2);
          if (swapped !== text) expect(parseTan(swapped)).toBe('check');
        }
      }
    }
  });

  /** A word with these two at this place; the last place is the check character's, which cannot be chosen. */
  function pair(place: number, left: string, right: string): string {
    const filled = Array.from({ length: 11 }, (_, at) => (at === place ? left : at === place + 1 ? right : '5'));
    if (place === 10) filled[9] = right;
    return whole(filled.join(''));
  }
});

describe('typing', () => {
  it('knows no other characters', () => {
    for (const typed of ['7KQÄ', '7KQU', 'ı', 'ſ', '7kqu', '\u0000', '7K_Q', 'K'.repeat(65)]) expect(normalise(typed)).toBeUndefined();
    expect(normalise(' 7kq2\u20139xc4.oil ')).toBe('7KQ29XC4011');
  });
});
