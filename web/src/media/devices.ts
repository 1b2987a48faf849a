import { type LocalAudioTrack, type LocalVideoTrack, TrackEvent } from 'livekit-client';
import type { StringKey } from '../strings';
import { h } from '../ui/dom';
import { label, say, unsay } from '../ui/i18n';
import { icon, setIcon } from '../ui/icons';
import { type Capture, type Kind, type Problem, captureBoth, captureOne, problemOf } from './capture';
import { type Meter, createMeter } from './meter';
import { type Picker, createPicker } from './picker';
import { playTone } from './tone';

/** What somebody brings into a call, or would. */
export interface Choice {
  audio?: LocalAudioTrack;
  video?: LocalVideoTrack;
  /** devices to use if the person turns them on during the call */
  devices: Partial<Record<MediaDeviceKind, string>>;
  /** What was on, where the tracks are gone. */
  wants?: { audio: boolean; video: boolean };
}

/** Preview, level meter and pick lists; owns the local tracks until `finish` hands them on. */
export class Devices {
  readonly preview: HTMLElement;
  readonly choice: HTMLElement;
  private capture: Capture = { problems: [] };
  private readonly devices: Choice['devices'];
  private readonly video = h('video', {
    class: 'mirror',
    autoplay: true,
    playsinline: true,
    tLabel: 'setup.preview',
  });
  private readonly covered = h('p', { class: 'covered', t: 'setup.asking' });
  private readonly problems = h('div', { class: 'problems', role: 'alert' });
  private readonly mic = toggleButton('mic', () => void this.toggle('audio'));
  private readonly cam = toggleButton('cam', () => void this.toggle('video'));
  private readonly meter: Meter = createMeter();
  private readonly picker: Picker;
  private finished = false;

  /** `before`: what the person had chosen already. `told`: hears whether microphone and camera are on. */
  constructor(
    private readonly before: Choice = { devices: {} },
    private readonly told: (audio: boolean, video: boolean) => void = () => undefined,
  ) {
    this.devices = { ...before.devices };
    this.video.muted = true;
    this.picker = createPicker(['videoinput', 'audioinput', 'audiooutput'], {
      active: (kind) => this.devices[kind],
      pick: (kind, id) => void this.pick(kind, id),
    });
    const tone = h(
      'button',
      { type: 'button', class: 'secondary' },
      icon('sound'),
      h('span', { t: 'setup.testSound' }),
    );
    tone.addEventListener('click', () => void playTone(this.devices.audiooutput));
    const picture = h(
      'div',
      { class: 'preview' },
      this.video,
      this.covered,
      h('div', { class: 'toggles' }, this.mic, this.cam),
    );
    this.preview = h('div', { class: 'card' }, picture, this.meter.el, this.problems);
    this.choice = h('div', { class: 'card' }, h('h2', { t: 'device.title' }), this.picker.el, tone);
  }

  async start(): Promise<void> {
    const capture = await this.first();
    if (this.finished) return stop(capture);
    this.capture = capture;
    await this.render();
  }

  finish(): Choice {
    this.finished = true;
    this.meter.close();
    this.picker.close();
    const { audio, video } = this.capture;
    video?.detach(this.video);
    return { devices: this.devices, audio, video };
  }

  discard(): void {
    this.finish();
    stop(this.capture);
  }

  /** What is there already, or else what the person had on. */
  private async first(): Promise<Capture> {
    const { audio, video, wants } = this.before;
    if (audio || video) return { ...(audio && { audio }), ...(video && { video }), problems: [] };
    if (!wants || (wants.audio && wants.video)) return captureBoth();
    const kind = wants.audio ? 'audio' : wants.video ? 'video' : undefined;
    if (!kind) return { problems: [] };
    return captureOne(kind).catch((error: unknown) => ({ problems: [problemOf(kind, error)] }));
  }

  private async toggle(kind: Kind): Promise<void> {
    const track = this.capture[kind];
    if (track) {
      track.stop();
      delete this.capture[kind];
    } else {
      await this.open(kind);
    }
    await this.render();
  }

  private async pick(kind: MediaDeviceKind, id: string): Promise<void> {
    this.devices[kind] = id;
    if (kind === 'audiooutput') return;
    const media = kind === 'audioinput' ? 'audio' : 'video';
    this.capture[media]?.stop();
    await this.open(media);
    await this.render();
  }

  private async open(kind: Kind): Promise<void> {
    const others = this.capture.problems.filter((problem) => deviceOf(problem) !== kind);
    try {
      const capture = await captureOne(kind, this.devices[kind === 'audio' ? 'audioinput' : 'videoinput']);
      this.capture = { ...this.capture, ...capture, problems: others };
    } catch (error) {
      delete this.capture[kind];
      this.capture.problems = [...others, problemOf(kind, error)];
    }
    if (this.finished) stop(this.capture);
  }

  private async render(): Promise<void> {
    const { audio, video, problems } = this.capture;
    video?.attach(this.video);
    this.video.hidden = !video;
    if (video) unsay(this.covered);
    else say(this.covered, 'setup.cameraOff');
    this.meter.listen(audio?.mediaStreamTrack);
    audio?.once(TrackEvent.Restarted, () => this.meter.listen(audio.mediaStreamTrack));
    showToggle(this.mic, audio ? 'mic' : 'micOff', audio ? 'call.micOff' : 'call.micOn', !!audio);
    showToggle(this.cam, video ? 'cam' : 'camOff', video ? 'call.camOff' : 'call.camOn', !!video);
    this.problems.replaceChildren(
      ...problems.map((problem) => h('p', { class: 'error', t: problem })),
      ...this.retry(),
    );
    this.told(!!audio, !!video);
    this.devices.audioinput ??= audio?.mediaStreamTrack.getSettings().deviceId;
    this.devices.videoinput ??= video?.mediaStreamTrack.getSettings().deviceId;
    await this.picker.refresh();
  }

  private retry(): HTMLElement[] {
    if (this.capture.problems.length === 0) return [];
    const again = h('button', { type: 'button', class: 'secondary', t: 'setup.retry' });
    again.addEventListener('click', () => {
      stop(this.capture);
      void this.start();
    });
    return [again];
  }
}

function toggleButton(kind: 'mic' | 'cam', onClick: () => void): HTMLButtonElement {
  const button = h(
    'button',
    { type: 'button', class: 'round', 'data-on': 'false', 'data-testid': `setup-${kind}` },
    icon(`${kind}Off`),
  );
  label(button, kind === 'mic' ? 'call.micOn' : 'call.camOn');
  button.addEventListener('click', onClick);
  return button;
}

function showToggle(
  button: HTMLElement,
  name: Parameters<typeof icon>[0],
  key: StringKey,
  on: boolean,
): void {
  const svg = button.querySelector('svg');
  if (svg) setIcon(svg, name);
  label(button, key);
  button.dataset.on = String(on);
}

function deviceOf(problem: Problem): Kind {
  return problem.startsWith('media.microphone') ? 'audio' : 'video';
}

function stop(capture: Capture): void {
  capture.audio?.stop();
  capture.video?.stop();
}
