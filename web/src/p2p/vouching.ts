import { type Side, isVouchedFor, vouch } from '../keys/certificates';

/** A secret that both of a call have and nobody else: `undefined` as long as they have not come to know each other. */
export interface PairSecret {
  now(): Uint8Array | undefined;
  /** It is the same for the whole call: one that does not fit never will. */
  fixed: boolean;
  /** Hears when it has come, or is another, until the answer is called. */
  onChange(heard: () => void): () => void;
}

/** A secret that is known from the beginning. */
export function knownSecret(secret: Uint8Array): PairSecret {
  return { now: () => secret, fixed: true, onChange: () => () => undefined };
}

/** Longer messages are none of ours. */
const MAX = 256;
/** How long a word may be wrong because the other side already has a new secret, or still an old one. */
const PATIENCE_MS = 5000;

/**
 * Finds out whether a connection is between the two certificates that both see. Each side says so under the common secret, over
 * the connection itself, as soon as it can.
 */
export class Vouching {
  /** `undefined` while the other side's word is missing, or cannot be weighed yet. */
  confirmed: boolean | undefined;
  private said: string | undefined;
  private heard: string | undefined;
  private certificates: [own: string, other: string] | undefined;
  private readonly stop: () => void;
  private doubting: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly secret: PairSecret,
    private readonly side: Side,
    private readonly say: (text: string) => void,
    private readonly decided: () => void,
  ) {
    this.stop = secret.onChange(() => this.step());
  }

  /** Takes the fingerprints of both certificates; also when the way to the other side has just opened. */
  over(certificates: [own: string, other: string]): void {
    this.certificates = certificates;
    this.said = undefined;
    this.step();
  }

  /** Whether this was a message of ours. */
  hear(message: unknown): boolean {
    const word = wordIn(message);
    if (word === undefined) return false;
    this.heard = word;
    this.step();
    return true;
  }

  close(): void {
    clearTimeout(this.doubting);
    this.stop();
  }

  private step(): void {
    const secret = this.secret.now();
    if (!secret || !this.certificates) return;
    const word = vouch(secret, this.side, ...this.certificates);
    if (word !== this.said) this.say(JSON.stringify({ certificates: word }));
    this.said = word;
    if (this.heard === undefined || this.confirmed !== undefined) return;
    if (isVouchedFor(this.heard, secret, this.side, ...this.certificates)) this.decide(true);
    else if (this.secret.fixed) this.decide(false);
    else this.doubting ??= setTimeout(() => this.decide(false), PATIENCE_MS);
  }

  private decide(confirmed: boolean): void {
    clearTimeout(this.doubting);
    this.confirmed = confirmed;
    this.decided();
  }
}

function wordIn(message: unknown): string | undefined {
  if (typeof message !== 'string' || message.length > MAX) return undefined;
  try {
    const { certificates } = (JSON.parse(message) ?? {}) as Record<string, unknown>;
    return typeof certificates === 'string' ? certificates : undefined;
  } catch {
    return undefined;
  }
}
