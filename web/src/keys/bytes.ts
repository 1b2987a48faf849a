import { sha256 } from '@noble/hashes/sha2.js';

/** Bytes that the browser's own cryptography takes. */
export type Bytes = Uint8Array<ArrayBuffer>;

const CONTINUED = 0x80;

export function utf8(text: string): Bytes {
  return new TextEncoder().encode(text);
}

export function joined(...parts: Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** Each part behind its length (LEB128), so that no two lists of parts are the same bytes. */
export function listed(...parts: (Uint8Array | string)[]): Bytes {
  return joined(...parts.map((part) => (typeof part === 'string' ? utf8(part) : part)).flatMap((part) => [length(part), part]));
}

/** Whether two are the same, in a time that does not tell where they differ. */
export function same(one: Uint8Array, other: Uint8Array): boolean {
  if (one.length !== other.length) return false;
  return one.reduce((difference, byte, at) => difference | (byte ^ (other[at] ?? 0)), 0) === 0;
}

export function random(length: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(length));
}

export function digest(...parts: (Uint8Array | string)[]): Bytes {
  return sha256(listed(...parts));
}

export function encode(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');
}

function length({ length }: Uint8Array): Bytes {
  const digits: number[] = [];
  let rest = length;
  for (; rest >= CONTINUED; rest >>>= 7) digits.push((rest & 0x7f) | CONTINUED);
  return Uint8Array.from([...digits, rest]);
}
