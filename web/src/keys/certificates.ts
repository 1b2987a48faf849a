import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { decodeBase64Url } from '../link';
import { encode, listed, same } from './bytes';
import { KEY, derive } from './seal';

/** Who of two gives way when both want to begin. The server says it to both, and each is one of them. */
export type Side = 'polite' | 'impolite';

/**
 * Shows the other person, who has the same secret, that a connection is between these two certificates and nobody stands in
 * between: an HMAC over both fingerprints and over whose word it is, so that nobody's own word comes back as the other's.
 */
export function vouch(secret: Uint8Array, side: Side, own: string, other: string): string {
  return encode(word(secret, side, own, other));
}

/** Whether this is what the other side says of the same connection. `side` and `own` are one's own. */
export function isVouchedFor(said: string, secret: Uint8Array, side: Side, own: string, other: string): boolean {
  const bytes = decodeBase64Url(said);
  return bytes !== undefined && same(bytes, word(secret, side === 'polite' ? 'impolite' : 'polite', other, own));
}

/** What somebody of this side says who has the certificate `own`. */
function word(secret: Uint8Array, side: Side, own: string, other: string): Uint8Array {
  return hmac(sha256, derive(secret, KEY, 'konsil certificates'), listed(side, own, other));
}
