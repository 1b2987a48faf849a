import { x25519 } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { type Bytes, digest, joined, listed, same } from './bytes';
import type { Place } from './practice';
import { KEY, derive } from './seal';
import { NAME, type ProofKind } from './wire';

const MOST_PAIRS = 128;

/** Somebody by identity and public key. */
export interface Party {
  identity: string;
  key: Uint8Array;
}

/** Oneself for one stay: a key pair that nobody had before and nobody has afterwards. */
export class Self implements Party {
  readonly key: Bytes;
  private readonly secret: Uint8Array;
  private readonly place: Bytes;
  /** Common secrets with others, by identity: the computation is the dearest of all here. */
  private readonly pairs = new Map<string, { key: Uint8Array; pair: Bytes | undefined }>();

  constructor(
    readonly identity: string,
    place: Place,
  ) {
    const pair = x25519.keygen();
    this.secret = pair.secretKey;
    this.key = joined(pair.publicKey);
    this.place = digest('konsil place', place.tenant, place.room);
  }

  /** What only the holders of both secret keys can know, the same for both; `undefined` for a key that could hide nothing. */
  pair(other: Party): Bytes | undefined {
    const before = this.pairs.get(other.identity);
    if (before && same(before.key, other.key)) return before.pair;
    const pair = this.agree(other);
    if (this.pairs.size >= MOST_PAIRS) this.pairs.clear();
    this.pairs.set(other.identity, { key: other.key, pair });
    return pair;
  }

  /** Shows `to` that oneself knows `secret`, and that both keys are those of today. */
  prove(secret: Uint8Array, kind: ProofKind, to: Party): Bytes {
    return this.proof(secret, kind, this, to);
  }

  checks(proof: Uint8Array, secret: Uint8Array, kind: ProofKind, from: Party): boolean {
    return same(proof, this.proof(secret, kind, from, this));
  }

  private agree(other: Party): Bytes | undefined {
    let shared: Uint8Array;
    try {
      shared = x25519.getSharedSecret(this.secret, other.key);
    } catch {
      return undefined;
    }
    return derive(shared, KEY, 'konsil pair', this.place, ...inOrder(this, other));
  }

  private proof(secret: Uint8Array, kind: ProofKind, from: Party, to: Party): Bytes {
    const who = listed(from.identity, from.key, to.identity, to.key);
    return hmac(sha256, derive(secret, KEY, 'konsil proof', kind, this.place), who) as Bytes;
  }
}

/** An identity in messages: short, and always of the same length. */
export function nameOf(identity: string): Bytes {
  return digest('konsil name', identity).slice(0, NAME);
}

function inOrder(one: Party, other: Party): (Uint8Array | string)[] {
  const [first, second] = one.identity < other.identity ? [one, other] : [other, one];
  return [first.identity, first.key, second.identity, second.key];
}
