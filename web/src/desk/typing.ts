import { ALPHABET, normalise } from '../keys/tan';

const GROUP = 4;
const CHARACTERS = 12;

/** What somebody has typed so far, in capitals and groups of four, and where the cursor then is. Unknown characters stay, to be seen. */
export function groupTan(typed: string, cursor: number): { text: string; cursor: number } {
  const before = bare(typed.slice(0, cursor)).length;
  const text = bare(typed).match(new RegExp(`.{1,${GROUP}}`, 'gu'))?.join('-') ?? '';
  return { text, cursor: before + Math.floor(Math.max(0, before - 1) / GROUP) };
}

/** All that can be said of a TAN before it is whole: that a character of it can be in none. */
export function foreignCharacter(typed: string): string | undefined {
  return [...bare(typed)].find((character) => !ALPHABET.includes(normalise(character) ?? '?'));
}

/** Nobody types more than twelve characters. */
export function complete(typed: string): boolean {
  return bare(typed).length >= CHARACTERS;
}

function bare(typed: string): string {
  return typed.replace(/[\s.\-\u00a0\u2000-\u200a\u2010-\u2015\u202f]/g, '').toUpperCase();
}
