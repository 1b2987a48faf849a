import type { Bytes } from '../keys/bytes';
import { decodeName, encodeName } from '../names';

/** How often a name that has not come is asked for, in seconds: notes may be lost. */
const ASK_EVERY_S = 3;
const MOST_ASKED = 20;
const ASK = new TextEncoder().encode('{"ask":true}');

/** What the names need of the group. */
export interface Notes {
  note(identity: string, text: Bytes): void;
}

/** Who is called what at the desk. Names travel from one to another under their common secret; the server never has them. */
export class DeskNames {
  private readonly names = new Map<string, string>();
  private readonly known = new Map<string, { asked: number }>();
  private readonly timer = setInterval(() => this.ask(), ASK_EVERY_S * 1000);

  constructor(
    private readonly own: string,
    private readonly notes: () => Notes,
    private readonly changed: () => void,
  ) {}

  of(identity: string): string | undefined {
    return this.names.get(identity);
  }

  /** Somebody's key has come to be known: they may have one's name, and are asked for theirs. */
  meet(identity: string): void {
    this.known.set(identity, { asked: 0 });
    this.tell(identity);
  }

  hear(identity: string, text: Bytes): void {
    if (new TextDecoder().decode(text) === '{"ask":true}') return this.tell(identity);
    const name = decodeName(text);
    if (!name || this.names.get(identity) === name) return;
    this.names.set(identity, name);
    this.changed();
  }

  /** Forgets whoever is gone. */
  keep(present: ReadonlySet<string>): void {
    for (const identity of this.known.keys()) if (!present.has(identity)) this.known.delete(identity);
  }

  close(): void {
    clearInterval(this.timer);
  }

  private tell(identity: string): void {
    if (this.own) this.notes().note(identity, encodeName(this.own));
  }

  private ask(): void {
    for (const [identity, one] of this.known) {
      if (this.names.has(identity) || one.asked >= MOST_ASKED) continue;
      one.asked += 1;
      this.notes().note(identity, ASK);
    }
  }
}
