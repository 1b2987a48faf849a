import { describe, expect, it } from 'vitest';
import { cleanName, decodeName, encodeName } from '../src/names';

const encode = (text: string) => new TextEncoder().encode(text);

describe('names', () => {
  it('trims and joins lines', () => {
    expect(cleanName('  Dr. \n Ada\tLovelace ')).toBe('Dr. Ada Lovelace');
  });

  it('drops what could disguise a name', () => {
    expect(cleanName('Ada\u202Eecalevol\u0000')).toBe('Ada ecalevol');
  });

  it('keeps 64 characters, counting an emoji as one', () => {
    expect(cleanName('x'.repeat(100))).toHaveLength(64);
    expect([...cleanName('🩺'.repeat(100))]).toHaveLength(64);
  });

  it('round-trips', () => {
    expect(decodeName(encodeName('Jürgen Groß'))).toBe('Jürgen Groß');
  });

  it('cuts what others send', () => {
    expect(decodeName(encodeName('y'.repeat(1000)))).toHaveLength(64);
  });

  it.each(['', 'null', '7', '{}', '{"name":7}', '{"name":"  "}', '{"name":', '[]'])('ignores %j', (text) => {
    expect(decodeName(encode(text))).toBeUndefined();
  });
});
