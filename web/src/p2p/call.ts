import { type Admission, NotAdmitted, admission } from '../call/admission';
import type { EndReason } from '../call/reasons';
import type { Media } from '../call/media';
import { captureTrack } from '../media/capture';
import type { Setup } from '../pages/setup';
import { readClaims } from '../token';
import { Connection, SLOTS, type Slot, type Tracks } from './connection';
import { type Presence, decodePresence, encodePresence } from './presence';
import { inProfile, negotiated } from './profile';
import { safetyCode } from './safety';
import { type PeerNews, Signal } from './signal';
import { type PairSecret, Vouching } from './vouching';

export type Standing = 'connecting' | 'alone' | 'connected' | 'broken';

/** How long a broken connection may mend itself before a new way is looked for; who gives way also waits longer. */
const PATIENCE_MS = { impolite: 1500, polite: 3000 };
/** How long a new way may take. */
const RETRY_MS = 6000;
/** How long a connected browser may take to say what it chose, before it is asked again. */
const ASK_AGAIN_MS = 250;
/** How long a call outside of the profile stands, without media, until it ends: the other one is to see why, too. */
const LAST_LOOK_MS = 1000;
/** Failed attempts to reach the server after which the reason is asked for. */
const ASK_AFTER = 3;
/** Failed attempts after which a call without a connection to the other person is over: about a minute. */
const GIVE_UP_AFTER = 16;

const ENDS: Record<string, EndReason> = {
  left: 'left',
  replaced: 'replaced',
  removed: 'removed',
  'room-deleted': 'closed',
  refused: 'refused',
};

/** A call of two people, from the way in to its end. */
export class P2pCall implements Media {
  readonly ended: Promise<EndReason>;
  connection: Connection | undefined;
  /** What both can compare. */
  code: string | undefined;
  private end: (reason: EndReason) => void = () => undefined;
  private readonly tracks: Tracks;
  /** What the other person gets: nothing before it is known to be the other person. */
  private sent: Tracks = {};
  private vouching: Vouching | undefined;
  private said: Presence | undefined;
  private readonly devices: Setup['devices'];
  private readonly name: string;
  private readonly signal: Signal;
  private readonly changes = new Set<() => void>();
  private news: PeerNews | undefined;
  private reachable = false;
  private wasConnected = false;
  private restarting = false;
  private mending: ReturnType<typeof setTimeout> | undefined;
  private readonly online = (): void => this.restart();

  constructor(
    private readonly entry: Admission,
    setup: Setup,
    private readonly certificate: RTCCertificate,
    /** Without one, only people can tell whether somebody stands in between: by the safety code. */
    private readonly secret?: PairSecret,
    /** Both have a secret in common, so that nothing goes without its word. */
    private readonly required: () => boolean = () => true,
  ) {
    this.name = setup.name;
    this.devices = setup.devices;
    this.tracks = { microphone: setup.audio?.mediaStreamTrack, camera: setup.video?.mediaStreamTrack };
    this.watch('microphone');
    this.watch('camera');
    this.ended = new Promise((resolve) => (this.end = resolve));
    this.signal = new Signal(entry.token, {
      peer: (news) => this.hear(news),
      description: (description) => this.connection?.description(description),
      candidate: (candidate) => this.connection?.candidate(candidate),
      bye: (reason) => this.end(ENDS[reason] ?? 'lost'),
      lost: (attempts) => void this.unreachable(attempts),
    });
    window.addEventListener('online', this.online);
    window.addEventListener('pagehide', this.pagehide);
    window.addEventListener('pageshow', this.pageshow);
  }

  /** How things stand; `failed` of the browser is not final, since candidates of the relay may still come. */
  get standing(): Standing {
    if (!this.news) return 'connecting';
    if (!this.news.present) return this.reachable ? 'alone' : 'broken';
    if (this.connection?.state === 'connected') return this.open ? 'connected' : 'connecting';
    return this.wasConnected ? 'broken' : 'connecting';
  }

  get present(): boolean {
    return this.news?.present === true;
  }

  /** What the other person says of itself. */
  get presence(): Presence | undefined {
    return this.open ? this.said : undefined;
  }

  /** What comes from the other person. */
  heard(slot: Slot): MediaStreamTrack | undefined {
    return this.open ? this.connection?.track(slot) : undefined;
  }

  own(slot: Slot): MediaStreamTrack | undefined {
    return this.tracks[slot];
  }

  get microphone(): boolean {
    return this.tracks.microphone?.enabled === true;
  }

  get camera(): boolean {
    return this.tracks.camera !== undefined;
  }

  get screen(): boolean {
    return this.tracks.screen !== undefined;
  }

  async setMicrophone(on: boolean): Promise<void> {
    if (on && !this.tracks.microphone) return this.put('microphone', await captureTrack('audio', this.devices.audioinput));
    // A track that is not enabled sends silence, and comes back without asking for the device again.
    if (this.tracks.microphone) this.tracks.microphone.enabled = on;
    this.tell();
  }

  async setCamera(on: boolean): Promise<void> {
    await this.put('camera', on ? await captureTrack('video', this.devices.videoinput) : undefined);
  }

  async setScreen(on: boolean): Promise<void> {
    if (!on) return this.stopScreen();
    const stream = await navigator.mediaDevices.getDisplayMedia({ video: true, audio: true });
    const [video] = stream.getVideoTracks();
    // Sharp letters matter more than smooth movement.
    if (video) video.contentHint = 'detail';
    await this.put('screenAudio', stream.getAudioTracks()[0]);
    await this.put('screen', video);
  }

  activeDevice(kind: MediaDeviceKind): string | undefined {
    const slot = kind === 'audioinput' ? 'microphone' : 'camera';
    const used = kind === 'audiooutput' ? undefined : this.tracks[slot]?.getSettings().deviceId;
    return used ?? this.devices[kind];
  }

  async switchDevice(kind: MediaDeviceKind, id: string): Promise<void> {
    const was = this.activeDevice(kind);
    this.devices[kind] = id;
    if (kind === 'audiooutput') return this.changed();
    const slot = kind === 'audioinput' ? 'microphone' : 'camera';
    const before = this.tracks[slot];
    if (!before) return;
    const open = async (device?: string) => {
      const track = await captureTrack(kind === 'audioinput' ? 'audio' : 'video', device);
      track.enabled = before.enabled;
      await this.put(slot, track);
    };
    // Phones open one camera at a time, so the first is closed before. If the other one fails it comes back.
    before.stop();
    try {
      await open(id);
    } catch (error) {
      this.devices[kind] = was;
      await open(was).catch(() => this.put(slot, undefined));
      throw error;
    }
  }

  leave(): void {
    this.end('left');
  }

  onChange(heard: () => void): void {
    this.changes.add(heard);
  }

  close(): void {
    clearTimeout(this.mending);
    window.removeEventListener('online', this.online);
    window.removeEventListener('pagehide', this.pagehide);
    window.removeEventListener('pageshow', this.pageshow);
    this.signal.close();
    this.vouching?.close();
    this.connection?.close();
    this.connection = undefined;
    for (const track of Object.values(this.tracks)) track?.stop();
  }

  /** Looks for a new way: with fresh credentials, which come with the news. */
  restart(): void {
    if (!this.connection) return;
    // Firefox's transport sends nothing any more once it failed, whatever ICE finds later: only a new connection does.
    if (this.connection.state === 'failed') return this.signal.anew();
    this.restarting = true;
    this.signal.ask();
    clearTimeout(this.mending);
    this.mending = setTimeout(() => this.mend(), RETRY_MS);
  }

  // A closed window is gone at once, and leaves the place to whoever opens the link again.
  private readonly pagehide = (): void => this.signal.close();

  // A window that the browser had put aside comes back without its connections.
  private readonly pageshow = ({ persisted }: PageTransitionEvent): void => {
    if (persisted) location.reload();
  };

  private hear(news: PeerNews): void {
    const before = this.news;
    this.news = news;
    this.reachable = true;
    if (before?.session !== news.session || before.peer !== news.peer) this.meet(news);
    else this.again(news);
    this.changed();
  }

  /** Nothing stands against showing and saying what is for the other person alone. */
  private get open(): boolean {
    return !this.secret || this.vouching?.confirmed === true || !this.required();
  }

  private meet(news: PeerNews): void {
    this.vouching?.close();
    this.vouching = undefined;
    this.connection?.close();
    this.connection = undefined;
    this.said = undefined;
    this.code = undefined;
    this.wasConnected = false;
    this.restarting = false;
    clearTimeout(this.mending);
    this.mending = undefined;
    if (!news.present) return;
    if (this.secret) this.vouching = this.vouchFor(this.secret, news);
    this.sent = this.open ? { ...this.tracks } : {};
    this.connection = new Connection(news, this.certificate, this.sent, {
      send: (message) => this.signal.send(message),
      changed: () => this.follow(),
      open: () => this.reached(),
      message: (data) => {
        if (this.vouching?.hear(data)) return;
        this.said = decodePresence(data) ?? this.said;
        this.changed();
      },
    });
  }

  private vouchFor(secret: PairSecret, { polite }: PeerNews): Vouching {
    const vouching: Vouching = new Vouching(
      secret,
      polite ? 'polite' : 'impolite',
      (text) => this.connection?.say(text),
      () => {
        if (!vouching.confirmed) return this.end('insecure');
        for (const slot of SLOTS) void this.send(slot);
        this.tell();
      },
    );
    return vouching;
  }

  /** Messages reach the other person from now on. */
  private reached(): void {
    const fingerprints = this.connection?.fingerprints();
    if (fingerprints) this.vouching?.over(fingerprints);
    this.tell();
  }

  private async send(slot: Slot): Promise<void> {
    const track = this.tracks[slot];
    if (!this.open) return;
    this.sent[slot] = track;
    await this.connection?.replace(slot, track);
  }

  /** The same two as before: the answer to a question, or one of them came back to the server. */
  private again(news: PeerNews): void {
    const { connection } = this;
    if (!connection) return;
    connection.repeat();
    connection.renew(news.ice_servers);
    if (this.restarting) {
      this.restarting = false;
      connection.restart();
    }
  }

  private follow(): void {
    const state = this.connection?.state;
    if (state === 'connected') {
      this.wasConnected = true;
      clearTimeout(this.mending);
      this.mending = undefined;
    } else if (state === 'disconnected' || state === 'failed') {
      const patience = this.news?.polite ? PATIENCE_MS.polite : PATIENCE_MS.impolite;
      this.mending ??= setTimeout(() => this.mend(), patience);
    }
    void this.judge();
    void this.compare();
    this.changed();
  }

  /** Ends the call if the operator wants other algorithms than the browsers chose. */
  private async judge(): Promise<void> {
    const { connection } = this;
    if (this.news?.crypto !== 'bsi' || connection?.state !== 'connected') return;
    const verdict = inProfile(await negotiated(connection.pc).catch(() => ({})));
    if (connection !== this.connection) return;
    if (verdict === undefined) setTimeout(() => void this.judge(), ASK_AGAIN_MS);
    else if (verdict) await connection.vouch();
    else setTimeout(() => this.end('cipher'), LAST_LOOK_MS);
  }

  private mend(): void {
    this.mending = undefined;
    if (this.connection && this.connection.state !== 'connected') this.restart();
  }

  private async compare(): Promise<void> {
    const { connection } = this;
    const fingerprints = connection?.fingerprints();
    const code = fingerprints && (await safetyCode(...fingerprints));
    if (connection !== this.connection || code === this.code) return;
    this.code = code;
    this.changed();
  }

  private async unreachable(attempts: number): Promise<void> {
    this.reachable = false;
    this.changed();
    if (attempts < ASK_AFTER) return;
    try {
      await admission({ token: this.entry.token, claims: readClaims(this.entry.token) });
    } catch (error) {
      const reason = error instanceof NotAdmitted ? error.reason : 'unreachable';
      const talking = this.connection?.state === 'connected';
      // A call that goes on without the server goes on.
      if (reason !== 'unreachable' && !talking) this.end(reason);
      else if (attempts >= GIVE_UP_AFTER && !talking) this.end('unreachable');
    }
  }

  private async stopScreen(): Promise<void> {
    await this.put('screen', undefined);
    await this.put('screenAudio', undefined);
  }

  private async put(slot: Slot, track: MediaStreamTrack | undefined): Promise<void> {
    const before = this.tracks[slot];
    this.tracks[slot] = track;
    await this.send(slot);
    before?.stop();
    this.watch(slot);
    this.tell();
  }

  /** Notices when a device is unplugged, or sharing ends by the browser's own button. */
  private watch(slot: Slot): void {
    const track = this.tracks[slot];
    track?.addEventListener('ended', () => {
      if (this.tracks[slot] === track) void (slot === 'screen' ? this.stopScreen() : this.put(slot, undefined));
    });
  }

  private tell(): void {
    const { name, microphone, camera, screen } = this;
    if (this.open) this.connection?.say(encodePresence({ name, microphone, camera, screen }));
    this.changed();
  }

  private changed(): void {
    for (const heard of this.changes) heard();
  }
}
