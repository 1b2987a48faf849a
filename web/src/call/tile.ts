import type { StringKey } from '../strings';
import { h } from '../ui/dom';
import { label, say, unsay } from '../ui/i18n';
import { icon } from '../ui/icons';

/** What a tile plays: the part of LiveKit's track that it needs. */
export interface Playable {
  attach(element: HTMLMediaElement): HTMLMediaElement;
  detach(element: HTMLMediaElement): HTMLMediaElement;
}

interface TileOptions {
  identity: string;
  local: boolean;
  screen?: boolean;
}

/** One rectangle of the call: a person, or a shared screen. */
export class Tile {
  readonly el: HTMLLIElement;
  private readonly video: HTMLVideoElement;
  private readonly audio = h('audio', { autoplay: true });
  private readonly words = h('span', { class: 'name' });
  private readonly notice = h('p', { class: 'tile-notice' });
  private readonly retry = h('button', { type: 'button', 'data-testid': 'try-again' });
  private readonly paused = h('div', { class: 'tile-paused', role: 'status' });
  private again: (() => void) | undefined;
  private readonly muted = badge('micOff', 'call.muted');
  private readonly weak = badge('weak', 'call.weak');
  private playing: { video?: Playable; audio?: Playable } = {};

  constructor({ identity, local, screen = false }: TileOptions) {
    this.video = h('video', {
      autoplay: true,
      playsinline: true,
      class: local && !screen ? 'mirror' : undefined,
    });
    this.video.muted = true;
    this.video.hidden = true;
    this.el = h(
      'li',
      {
        class: screen ? 'tile screen' : 'tile',
        'data-testid': screen ? 'screen-tile' : 'tile',
        'data-identity': identity,
        'data-local': String(local),
        'data-speaking': 'false',
      },
      h('div', { class: 'face' }, icon(screen ? 'screen' : 'person')),
      this.video,
      this.audio,
      this.notice,
      this.paused,
      h('p', { class: 'plate' }, this.muted, this.weak, this.words),
    );
    const words = h('p', {});
    say(words, 'call.paused');
    say(this.retry, 'call.tryAgain');
    this.retry.addEventListener('click', () => this.again?.());
    this.paused.append(words, this.retry);
    this.setMuted(false);
    this.setWeak(false);
    this.setPaused(undefined);
  }

  setName(name: string): void {
    this.words.textContent = name;
  }

  setScreenOf(name: string): void {
    say(this.words, 'call.screenOf', { name });
  }

  setMuted(muted: boolean): void {
    this.muted.hidden = !muted;
    this.el.dataset.muted = String(muted);
  }

  setWeak(weak: boolean): void {
    this.weak.hidden = !weak;
  }

  /** The picture is paused because the connection does not carry it; `again` asks for another try. */
  setPaused(again: (() => void) | undefined): void {
    this.again = again;
    this.paused.hidden = !again;
    this.el.dataset.paused = String(again !== undefined);
  }

  setSpeaking(speaking: boolean): void {
    this.el.dataset.speaking = String(speaking);
  }

  setNotice(key: StringKey | undefined): void {
    if (key) say(this.notice, key);
    else unsay(this.notice);
  }

  setVideo(track: Playable | undefined): void {
    this.play('video', this.video, track);
    this.video.hidden = !track;
  }

  setAudio(track: Playable | undefined): void {
    this.play('audio', this.audio, track);
  }

  close(): void {
    this.setVideo(undefined);
    this.setAudio(undefined);
    this.el.remove();
  }

  private play(kind: 'video' | 'audio', element: HTMLMediaElement, track: Playable | undefined): void {
    const before = this.playing[kind];
    if (before === track) return;
    before?.detach(element);
    track?.attach(element);
    this.playing[kind] = track;
  }
}

function badge(name: Parameters<typeof icon>[0], key: StringKey): HTMLElement {
  const el = h('span', { class: 'badge', role: 'img' }, icon(name));
  label(el, key);
  return el;
}
