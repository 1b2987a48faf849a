/**
 * What is typed from a letter: twelve characters, `XXXX-XXXX-XXXX`. The first six admit, the next five are a secret that the
 * server never gets, the last checks the typing.
 *
 * A character stands for five bits, by its place in the alphabet. Small letters (a to z) count as capitals. What
 * separates does not count: tab, line feed, carriage return, space, hyphen-minus, full stop, U+00A0, U+2000 to U+200A, U+2010 to
 * U+2015, U+202F. I and L are read as 1, O as 0; U and all others are faults, and so are more than 64 characters at all.
 *
 * The check character is the code word's remainder over GF(32) with x⁵ + x² + 1: begin with 0; for each of the eleven
 * characters in turn, add it (exclusive or) and double the sum, where doubling shifts left by one bit and, if a sixth bit
 * arises, takes 100101 (37) off by exclusive or. What remains is the check character. So each place counts by another power of
 * two, which are all different: one wrong character and two that changed places never go unnoticed.
 */
export interface Tan {
  /** What the server knows it by. */
  admit: string;
  /** What the two browsers recognise each other by. */
  secret: string;
}

export type TanFault = 'characters' | 'length' | 'check';

export const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
export const ADMIT = 6;
export const SECRET = 5;
const CHECKED = ADMIT + SECRET;
const POLYNOMIAL = 0b100101;
/** More than anybody types, and little to read. */
const LONGEST_INPUT = 64;

/** A new one, from the browser's source of secrets. */
export function newTan(): Tan {
  // 256 is a multiple of 32, so every character is as likely as any other.
  const random = crypto.getRandomValues(new Uint8Array(CHECKED));
  const text = Array.from(random, (byte) => ALPHABET.charAt(byte % ALPHABET.length)).join('');
  return halves(text);
}

/** Reads what somebody typed, or says what is wrong with it. */
export function parseTan(typed: string): Tan | TanFault {
  const text = normalise(typed);
  if (text === undefined) return 'characters';
  if (text.length !== CHECKED + 1) return 'length';
  return text.charAt(CHECKED) === checkCharacter(text.slice(0, CHECKED)) ? halves(text) : 'check';
}

/** As it stands in a letter. */
export function formatTan({ admit, secret }: Tan): string {
  const text = admit + secret + checkCharacter(admit + secret);
  return text.match(/.{4}/g)?.join('-') ?? '';
}

/** Capitals of the alphabet alone; `undefined` if something else is among them. */
export function normalise(typed: string): string | undefined {
  if (typed.length > LONGEST_INPUT) return undefined;
  const text = typed
    .replace(/[\t\n\r .\-\u00a0\u2000-\u200a\u2010-\u2015\u202f]/g, '')
    .replace(/[a-z]/g, (letter) => letter.toUpperCase())
    .replace(/[IL]/g, '1')
    .replace(/O/g, '0');
  return [...text].every((character) => ALPHABET.includes(character)) ? text : undefined;
}

/** The check character of eleven characters of the alphabet. */
export function checkCharacter(text: string): string {
  const sum = [...text].reduce((sum, character) => double(sum ^ ALPHABET.indexOf(character)), 0);
  return ALPHABET.charAt(sum);
}

function double(value: number): number {
  const doubled = value << 1;
  return doubled < ALPHABET.length ? doubled : doubled ^ POLYNOMIAL;
}

function halves(text: string): Tan {
  return { admit: text.slice(0, ADMIT), secret: text.slice(ADMIT, CHECKED) };
}
