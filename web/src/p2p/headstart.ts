/** How long the ways by TCP wait for the one by UDP, in milliseconds. */
export const HEADSTART_MS = 500;

/**
 * Holds candidates back, the other's and one's own, until one's own relay by UDP has answered, or all ways have, or time is up.
 * Browsers stop looking for ways once one connects: a call whose relay by TCP answered first would keep to it, with every
 * lost packet holding up what follows, though UDP were open.
 */
export class Headstart {
  private held: (() => void)[] | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** Begins to hold, at the start of each search for ways. What is held already goes on waiting. */
  begin(): void {
    this.held ??= [];
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.end(), HEADSTART_MS);
  }

  /** Does what was held, in its order, and holds nothing any more. */
  end(): void {
    clearTimeout(this.timer);
    const held = this.held ?? [];
    this.held = undefined;
    for (const act of held) act();
  }

  /** Forgets what is held. */
  cancel(): void {
    clearTimeout(this.timer);
    this.held = undefined;
  }

  /** Does it now, or when the wait is over. */
  after(act: () => void): void {
    if (this.held) this.held.push(act);
    else act();
  }
}

/** A candidate of one's own, with how its relay is reached, which TypeScript's library does not know yet. */
export interface Found {
  candidate: string;
  type: RTCIceCandidateType | null;
  relayProtocol?: string | null;
}

/** Whether a candidate of one's own is one by UDP through the relay, or there are no more to come. */
export function endsHeadstart(candidate: Found | null): boolean {
  if (!candidate?.candidate) return true;
  // Where a browser does not say how it reaches the relay, there is nothing to wait for.
  return candidate.type === 'relay' && (candidate.relayProtocol ?? 'udp') === 'udp';
}
