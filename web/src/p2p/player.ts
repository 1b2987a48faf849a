import type { Playable } from '../call/tile';

/** Plays tracks of the browser in elements of the page, on the speaker that is chosen. */
export class Player {
  private readonly known = new WeakMap<MediaStreamTrack, Playable>();
  private readonly elements = new Set<HTMLMediaElement>();
  private sink = '';

  /** `held` is told when the browser holds sound back until somebody touches the page. */
  constructor(private readonly held: (held: boolean) => void) {}

  /** The same for the same track, so that a tile shown anew plays on. */
  of(track: MediaStreamTrack | undefined): Playable | undefined {
    if (!track) return undefined;
    const known = this.known.get(track);
    if (known) return known;
    const playable: Playable = {
      attach: (element) => {
        element.srcObject = new MediaStream([track]);
        this.elements.add(element);
        this.route(element);
        void this.play(element);
        return element;
      },
      detach: (element) => {
        element.srcObject = null;
        this.elements.delete(element);
        return element;
      },
    };
    this.known.set(track, playable);
    return playable;
  }

  /** Sends sound to another speaker. */
  choose(sink: string): void {
    if (sink === this.sink) return;
    this.sink = sink;
    this.elements.forEach((element) => this.route(element));
  }

  /** Plays what was held back; to be called on a touch. */
  resume(): void {
    this.held(false);
    this.elements.forEach((element) => void this.play(element));
  }

  private async play(element: HTMLMediaElement): Promise<void> {
    await element.play().catch((error: DOMException) => {
      if (error.name === 'NotAllowedError') this.held(true);
    });
  }

  private route(element: HTMLMediaElement): void {
    if (this.sink && 'setSinkId' in element) void element.setSinkId(this.sink).catch(() => undefined);
  }
}
