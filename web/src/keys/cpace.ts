import { ristretto255, ristretto255_hasher } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { type Bytes, joined, listed, random, same, utf8 } from './bytes';

const { Point } = ristretto255;
type Element = InstanceType<typeof Point>;

const NAME = 'CPaceRistretto255';
/** SHA-512 reads blocks of 128 bytes: name and password fill the first one, whatever their length. */
const BLOCK = 128;
export const ELEMENT = 32;
export const TAG = 64;
const SCALAR_BITS = 252n;

/** What both sides know before they begin. */
export interface Context {
  /** The secret that both may know: five characters are enough, since each attempt tries one. */
  password: Uint8Array;
  /** For what and between whom. */
  channel: Uint8Array;
  /** Fresh for each attempt. */
  session: Uint8Array;
}

/** The other side cannot know the password, or somebody changed what it said. */
export class CPaceError extends Error {}

/** What one side says of itself: an element of the group, and data that come to be authenticated with it. */
export interface Share {
  element: Uint8Array;
  data: Uint8Array;
}

/**
 * One side of CPACE-RISTR255-SHA512 with an initiator and a responder (draft-irtf-cfrg-cpace), one attempt long. The sides
 * exchange their shares, then tags: without the password a run tells whether one guess was right, and nothing else.
 */
export class CPace {
  readonly share: Share;
  private readonly scalar: bigint;

  constructor(
    private readonly side: 'initiator' | 'responder',
    private readonly context: Context,
    data: Uint8Array,
    scalar = newScalar(),
  ) {
    this.scalar = scalar;
    this.share = { element: generator(context).multiply(scalar).toBytes(), data };
  }

  /** Takes the other side's share. Throws if it is no element of the group, or none that could keep a secret. */
  finish(other: Share): Finished {
    const shares: [Share, Share] = this.side === 'initiator' ? [this.share, other] : [other, this.share];
    const { session } = this.context;
    const common = multiplyChecked(this.scalar, other.element);
    const key = sha512(joined(listed(`${NAME}_ISK`, session, common), transcript(...shares)));
    const mac = sha512(joined(utf8('CPaceMac'), session, key));
    const tag = (share: Share): Bytes => hmac(sha512, mac, listed(share.element, share.data));
    return { key, tag: tag(this.share), confirms: (theirs) => same(theirs, tag(other)) };
  }
}

export interface Finished {
  /** 64 bytes that both have if both had the password. Not before the other's tag was right. */
  key: Bytes;
  /** Shows the other side that one has the key. */
  tag: Bytes;
  /** Whether this is the tag that the other side must have sent. */
  confirms(tag: Uint8Array): boolean;
}

/** What is hashed to the generator. */
export function generatorString({ password, channel, session }: Context): Bytes {
  const filled = 1 + listed(password).length + listed(NAME).length;
  return listed(NAME, password, new Uint8Array(Math.max(0, BLOCK - filled)), channel, session);
}

export function generator(context: Context): Element {
  const derive = ristretto255_hasher.deriveToCurve;
  if (!derive) throw new CPaceError('no derivation of elements');
  return derive(sha512(generatorString(context)));
}

/** Throws for the neutral element, and for bytes that encode none. */
export function multiplyChecked(scalar: bigint, element: Uint8Array): Bytes {
  let product: Element;
  try {
    product = Point.fromBytes(element).multiply(scalar);
  } catch {
    throw new CPaceError('no element of the group');
  }
  if (product.is0()) throw new CPaceError('the neutral element');
  return product.toBytes() as Bytes;
}

export function transcript(initiator: Share, responder: Share): Bytes {
  return listed(initiator.element, initiator.data, responder.element, responder.data);
}

/** Little-endian. */
export function scalarOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

/** 252 random bits are below the group's order, which is a little more than 2^252. */
function newScalar(): bigint {
  const scalar = scalarOf(random(ELEMENT)) & ((1n << SCALAR_BITS) - 1n);
  return scalar === 0n ? newScalar() : scalar;
}
