import { hkdf } from '@noble/hashes/hkdf.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, listed } from './bytes';

export const KEY = 32;
const NONCE = 12;

/** A secret for one purpose from one that has several; `parts` say which, the first one in words. */
export function derive(secret: Uint8Array, length: number, ...parts: (Uint8Array | string)[]): Bytes {
  return hkdf(sha256, secret, undefined, listed(...parts), length) as Bytes;
}

/**
 * AES-256-GCM under a secret that is used for one text alone: key and nonce both come from `secret` and `parts`, so that among
 * these there must be something which is never the same twice.
 */
export async function seal(text: Uint8Array, secret: Uint8Array, ...parts: (Uint8Array | string)[]): Promise<Bytes> {
  const { key, algorithm } = await cipher('encrypt', secret, parts);
  return new Uint8Array(await crypto.subtle.encrypt(algorithm, key, text as Bytes));
}

/** `undefined` if it was sealed under something else, or changed. */
export async function open(sealed: Uint8Array, secret: Uint8Array, ...parts: (Uint8Array | string)[]): Promise<Bytes | undefined> {
  const { key, algorithm } = await cipher('decrypt', secret, parts);
  try {
    return new Uint8Array(await crypto.subtle.decrypt(algorithm, key, sealed as Bytes));
  } catch {
    return undefined;
  }
}

async function cipher(use: KeyUsage, secret: Uint8Array, parts: (Uint8Array | string)[]) {
  const derived = derive(secret, KEY + NONCE, ...parts);
  const key = await crypto.subtle.importKey('raw', derived.slice(0, KEY), 'AES-GCM', false, [use]);
  return { key, algorithm: { name: 'AES-GCM', iv: derived.slice(KEY) } };
}
