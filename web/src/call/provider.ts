import { BaseKeyProvider, KeyProviderEvent } from 'livekit-client';
import type { Bytes } from '../keys/bytes';
import type { KeySource } from '../keys/keyring';

/** How long a new key is known before it is used: by then the others have it too, and no frame is lost. */
export const HEADSTART_MS = 300;

/** How long after a change of keys somebody may still use the one before, or already one that has not come yet. */
const CHANGING_MS = 3000;

/**
 * LiveKit's key ring, filled with the room's keys. All share them, nothing is derived from what went before (no ratchet), and a
 * frame that cannot be opened spoils no key: it names the key that it was sealed with by its place in the ring.
 */
export class EpochKeys extends BaseKeyProvider {
  /** Resolves when there is something to encrypt with. */
  readonly first: Promise<void>;
  private began: () => void = () => undefined;
  private used = false;
  private changed = -Infinity;
  private switching: ReturnType<typeof setTimeout> | undefined;
  private turn: Promise<void> = Promise.resolve();

  constructor() {
    super({ sharedKey: true, ratchetWindowSize: 0, failureTolerance: -1 });
    this.first = new Promise((resolve) => (this.began = resolve));
  }

  /** A frame that cannot be opened now is no sign of a wrong key. */
  get changing(): boolean {
    return performance.now() - this.changed < CHANGING_MS;
  }

  /** Takes keys from now on. Only after the room was made: LiveKit keeps what it hears before, but does not encrypt with it. */
  follow(source: KeySource): () => void {
    const stop = source.follow((index, key) => {
      this.turn = this.turn.then(() => this.take(index, key));
    });
    return () => {
      clearTimeout(this.switching);
      stop();
    };
  }

  private async take(index: number, bytes: Bytes): Promise<void> {
    // Raw bytes go through HKDF, which suits a random key; a string would go through PBKDF2.
    const key = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveBits', 'deriveKey']);
    clearTimeout(this.switching);
    this.changed = performance.now();
    if (this.used) {
      this.emit(KeyProviderEvent.SetKey, { key, keyIndex: index }, false);
      this.switching = setTimeout(() => this.use(index, key), HEADSTART_MS);
    } else this.use(index, key);
  }

  private use(index: number, key: CryptoKey): void {
    this.used = true;
    this.onSetEncryptionKey(key, undefined, index);
    this.began();
  }
}
