import { endsHeadstart, Headstart } from './headstart';
import { choosesGcm, takeChoice } from './profile';
import { keepRoles } from './role';
import { fingerprintOf } from './safety';
import type { Outgoing, PeerNews } from './signal';

/** What is sent, in the order of the media sections; all are there from the start, so that nothing is negotiated later. */
export const SLOTS = ['microphone', 'camera', 'screen', 'screenAudio'] as const;
export type Slot = (typeof SLOTS)[number];
export type Tracks = Partial<Record<Slot, MediaStreamTrack>>;

const KIND: Record<Slot, 'audio' | 'video'> = {
  microphone: 'audio',
  camera: 'video',
  screen: 'video',
  screenAudio: 'audio',
};

interface Listener {
  send(message: Outgoing): void;
  changed(): void;
  /** The data channel to the other person is open. */
  open(): void;
  message(data: unknown): void;
}

/** One connection to one stay of the other person: negotiation by the pattern of the WebRTC specification (§10.7). */
export class Connection {
  readonly pc: RTCPeerConnection;
  private readonly peer: string | undefined;
  private readonly polite: boolean;
  private readonly own = new MediaStream();
  private readonly remote = new Map<Slot, MediaStreamTrack>();
  private slots: RTCRtpTransceiver[] = [];
  private channel: RTCDataChannel | undefined;
  private makingOffer = false;
  private ignoring = false;
  private answering = false;
  /** What is chosen must be AES-GCM, and this browser is one that chooses it. */
  private readonly choosing: boolean;
  /** What the browsers chose may be: until then nothing of the person leaves. */
  private vouched: boolean;
  private readonly headstart = new Headstart();
  /** The other person's certificate, which stays the same as long as the connection. */
  private certificate: string | undefined;
  /** Messages are taken one after the other. */
  private turn: Promise<void> = Promise.resolve();

  constructor(
    news: PeerNews,
    certificate: RTCCertificate,
    private readonly tracks: Tracks,
    private readonly listener: Listener,
  ) {
    this.peer = news.peer;
    this.polite = news.polite;
    this.vouched = news.crypto !== 'bsi';
    this.choosing = news.crypto === 'bsi' && choosesGcm(navigator.userAgent);
    this.pc = new RTCPeerConnection({
      certificates: [certificate],
      iceServers: news.ice_servers,
      iceTransportPolicy: news.hide_addresses ? 'relay' : 'all',
      bundlePolicy: 'max-bundle',
    });
    const { pc } = this;
    pc.onnegotiationneeded = () => void this.offer();
    pc.onicecandidate = ({ candidate }) => this.found(candidate);
    pc.onicegatheringstatechange = () => {
      if (pc.iceGatheringState === 'complete') this.headstart.end();
    };
    pc.onconnectionstatechange = () => listener.changed();
    pc.onsignalingstatechange = () => listener.changed();
    pc.ondatachannel = ({ channel }) => this.listen(channel);
    // Who gives way waits for the offer, so that as a rule there is only one.
    if (!this.polite) this.begin();
  }

  get state(): RTCPeerConnectionState {
    return this.pc.connectionState;
  }

  track(slot: Slot): MediaStreamTrack | undefined {
    return this.remote.get(slot);
  }

  receiver(slot: Slot): RTCRtpReceiver | undefined {
    return this.slots[SLOTS.indexOf(slot)]?.receiver;
  }

  async replace(slot: Slot, track: MediaStreamTrack | undefined): Promise<void> {
    if (!this.vouched) return;
    await this.slots[SLOTS.indexOf(slot)]?.sender.replaceTrack(track ?? null);
  }

  /** What was chosen is in the profile: sends what waited for it. */
  async vouch(): Promise<void> {
    if (this.vouched) return;
    this.vouched = true;
    await Promise.all(SLOTS.map((slot) => this.replace(slot, this.tracks[slot])));
    this.listener.open();
  }

  say(text: string): void {
    if (this.vouched && this.channel?.readyState === 'open') this.channel.send(text);
  }

  /** The fingerprints of both certificates, once both are described. */
  fingerprints(): [own: string, other: string] | undefined {
    const own = fingerprintOf(this.pc.currentLocalDescription?.sdp ?? '');
    const other = fingerprintOf(this.pc.currentRemoteDescription?.sdp ?? '');
    return own === undefined || other === undefined ? undefined : [own, other];
  }

  /** Takes fresh credentials for the next search for ways, whoever begins it: what the old ones opened still counts for those. */
  renew(iceServers: RTCIceServer[]): void {
    if (this.pc.signalingState === 'closed') return;
    this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers });
  }

  /** Looks for a new way. */
  restart(): void {
    if (this.pc.signalingState === 'closed') return;
    this.pc.restartIce();
    this.headstart.begin();
  }

  /** Says again what may have been lost with the connection to the server. */
  repeat(): void {
    if (this.pc.signalingState === 'have-local-offer') this.describe();
  }

  description(description: RTCSessionDescriptionInit): void {
    this.next(() => this.take(description));
  }

  candidate(candidate: RTCIceCandidateInit | null): void {
    // In the order of the messages: a candidate belongs to the description before it.
    this.next(async () => this.headstart.after(() => this.next(() => this.add(candidate))));
  }

  close(): void {
    this.headstart.cancel();
    this.pc.onconnectionstatechange = null;
    this.pc.onsignalingstatechange = null;
    this.channel?.close();
    this.pc.close();
  }

  private found(candidate: RTCIceCandidate | null): void {
    if (endsHeadstart(candidate)) this.headstart.end();
    const message = { type: 'candidate', peer: this.peer, candidate: candidate?.candidate ? candidate : null } as const;
    this.headstart.after(() => this.listener.send(message));
  }

  private async add(candidate: RTCIceCandidateInit | null): Promise<void> {
    try {
      await this.pc.addIceCandidate(candidate ?? undefined);
    } catch (error) {
      // Candidates for an offer that was not taken have no place; of others one less is no harm.
      if (!this.ignoring) console.warn('a candidate was not taken', (error as Error).name);
    }
  }

  private begin(): void {
    this.slots = SLOTS.map((slot) =>
      this.pc.addTransceiver(this.outgoing(slot) ?? KIND[slot], { direction: 'sendrecv', streams: [this.own] }),
    );
    this.receive();
    this.listen(this.pc.createDataChannel('konsil'));
  }

  /** Takes the sections of the other's first offer for one's own tracks. */
  private async adopt(): Promise<void> {
    if (this.slots.length > 0) return;
    this.slots = this.pc.getTransceivers().slice(0, SLOTS.length);
    for (const [index, slot] of SLOTS.entries()) {
      const transceiver = this.slots[index];
      if (!transceiver || transceiver.receiver.track.kind !== KIND[slot]) continue;
      transceiver.direction = 'sendrecv';
      transceiver.sender.setStreams?.(this.own);
      await transceiver.sender.replaceTrack(this.outgoing(slot) ?? null);
    }
    this.receive();
  }

  private outgoing(slot: Slot): MediaStreamTrack | undefined {
    return this.vouched ? this.tracks[slot] : undefined;
  }

  private receive(): void {
    for (const [index, slot] of SLOTS.entries()) {
      const track = this.slots[index]?.receiver.track;
      if (track?.kind === KIND[slot]) this.remote.set(slot, track);
    }
    this.listener.changed();
  }

  private listen(channel: RTCDataChannel): void {
    this.channel = channel;
    channel.onopen = () => this.listener.open();
    channel.onmessage = ({ data }) => this.listener.message(data);
    if (channel.readyState === 'open') this.listener.open();
  }

  private async offer(): Promise<void> {
    // Before the first offer came there is nothing that who gives way could ask for.
    if (this.slots.length === 0) return;
    this.makingOffer = true;
    try {
      this.headstart.begin();
      await this.pc.setLocalDescription();
      this.describe();
    } catch (error) {
      console.warn('no offer could be made', (error as Error).name);
    } finally {
      this.makingOffer = false;
    }
  }

  private async take(description: RTCSessionDescriptionInit): Promise<void> {
    const { pc } = this;
    const ready = !this.makingOffer && (pc.signalingState === 'stable' || this.answering);
    const collision = description.type === 'offer' && !ready;
    this.ignoring = !this.polite && collision;
    if (this.ignoring) return;
    // Without exactly one certificate no code could vouch for it.
    const certificate = fingerprintOf(description.sdp ?? '');
    if (certificate === undefined) throw new Error('no single fingerprint');
    if (certificate !== (this.certificate ?? certificate)) throw new Error('another certificate');
    this.answering = description.type === 'answer';
    try {
      await pc.setRemoteDescription(this.understood(description));
      this.certificate = certificate;
    } finally {
      this.answering = false;
    }
    if (description.type !== 'offer') return;
    this.headstart.begin();
    await this.adopt();
    await pc.setLocalDescription();
    this.describe();
  }

  private understood({ type, sdp = '' }: RTCSessionDescriptionInit): RTCSessionDescriptionInit {
    const { currentLocalDescription: local, currentRemoteDescription: remote } = this.pc;
    if (type !== 'offer') return { type, sdp };
    const kept = keepRoles(sdp, local, remote);
    // Roles that stand were put in already.
    return { type, sdp: this.choosing ? takeChoice(kept) : kept };
  }

  private describe(): void {
    this.listener.send({ type: 'description', peer: this.peer, description: this.pc.localDescription });
  }

  private next(act: () => Promise<void>): void {
    this.turn = this.turn.then(act).catch((error: unknown) => {
      if (this.pc.signalingState !== 'closed') console.warn('a description was not taken', (error as Error).name);
    });
  }
}
