import {
  ConnectionQuality,
  ConnectionState,
  type Participant,
  RemoteTrackPublication,
  type Room,
  RoomEvent,
  Track,
  type TrackPublication,
} from 'livekit-client';
import type { Grid } from './grid';
import type { Nameplates } from './nameplates';
import type { Playable, Tile } from './tile';

/**
 * How long after a reconnection livekit-client 2.23 may still lose events, with some to spare: it buffers them until it
 * has waited its two seconds, and then forgets them (livekit/client-sdk-js#2074).
 */
const DEAF_MS = 3000;

/** Keeps the tiles equal to what the room says: after any event, the participant is shown anew. */
export class Stage {
  constructor(
    private readonly room: Room,
    private readonly grid: Grid,
    private readonly names: () => Nameplates,
  ) {
    const ofPublication = (_: unknown, participant: Participant): void => this.show(participant);
    room
      .on(RoomEvent.Connected, () => this.showAll())
      .on(RoomEvent.Reconnected, () => {
        this.showAll();
        setTimeout(() => {
          if (room.state === ConnectionState.Connected) this.showAll();
        }, DEAF_MS);
      })
      .on(RoomEvent.ParticipantConnected, (participant) => this.show(participant))
      .on(RoomEvent.ParticipantNameChanged, (_, participant) => this.show(participant))
      .on(RoomEvent.ParticipantDisconnected, ({ identity }) => this.grid.remove(identity))
      .on(RoomEvent.TrackPublished, ofPublication)
      .on(RoomEvent.TrackUnpublished, ofPublication)
      .on(RoomEvent.TrackSubscribed, (_, __, participant) => this.show(participant))
      .on(RoomEvent.TrackUnsubscribed, (_, __, participant) => this.show(participant))
      .on(RoomEvent.TrackMuted, ofPublication)
      .on(RoomEvent.TrackUnmuted, ofPublication)
      .on(RoomEvent.LocalTrackPublished, ofPublication)
      .on(RoomEvent.LocalTrackUnpublished, ofPublication)
      .on(RoomEvent.TrackStreamStateChanged, (_, __, participant) => this.show(participant))
      .on(RoomEvent.ConnectionQualityChanged, ofPublication)
      .on(RoomEvent.ActiveSpeakersChanged, (speakers) =>
        this.grid.speaking(new Set(speakers.map(({ identity }) => identity))),
      );
  }

  showAll(): void {
    this.grid.keep((identity) => this.room.getParticipantByIdentity(identity) !== undefined);
    this.show(this.room.localParticipant);
    for (const participant of this.room.remoteParticipants.values()) this.show(participant);
  }

  showIdentity(identity: string): void {
    const participant = this.room.getParticipantByIdentity(identity);
    if (participant) this.show(participant);
  }

  private show(participant: Participant): void {
    const name = this.names().nameOf(participant);
    const tile = this.grid.tile(participant.identity, participant.isLocal);
    const camera = participant.getTrackPublication(Track.Source.Camera);
    const microphone = participant.getTrackPublication(Track.Source.Microphone);
    tile.setName(name);
    tile.setVideo(playable(camera));
    // One's own voice must not come back from the speaker.
    if (!participant.isLocal) tile.setAudio(playable(microphone));
    tile.setPaused(another(camera));
    tile.setMuted(!microphone || microphone.isMuted);
    tile.setWeak([ConnectionQuality.Poor, ConnectionQuality.Lost].includes(participant.connectionQuality));
    warnIfPlain(tile, camera, microphone);
    this.showScreen(participant, name);
  }

  private showScreen(participant: Participant, name: string): void {
    const screen = participant.getTrackPublication(Track.Source.ScreenShare);
    if (!screen || screen.isMuted) return this.grid.removeScreen(participant.identity);
    const tile = this.grid.screen(participant.identity, participant.isLocal);
    tile.setScreenOf(name);
    tile.setVideo(playable(screen));
    tile.setPaused(another(screen));
    if (!participant.isLocal)
      tile.setAudio(playable(participant.getTrackPublication(Track.Source.ScreenShareAudio)));
    warnIfPlain(tile, screen);
  }
}

function playable(publication: TrackPublication | undefined): Playable | undefined {
  if (!publication?.track || publication.isMuted || isPlain(publication)) return undefined;
  return publication.track;
}

/** How to ask for another try of a picture that the server has paused, `undefined` if it has not. */
function another(publication: TrackPublication | undefined): (() => void) | undefined {
  const paused = publication?.track?.streamState === Track.StreamState.Paused && !publication.isMuted;
  if (!paused || !(publication instanceof RemoteTrackPublication)) return undefined;
  return () => {
    // Any wish of the client's makes the server look again at what the connection carries.
    publication.setEnabled(false);
    publication.setEnabled(true);
  };
}

/** The page promises end-to-end encryption, so what comes without it is neither shown nor played. */
function isPlain(publication: TrackPublication | undefined): boolean {
  return publication !== undefined && !publication.isLocal && !publication.isEncrypted;
}

function warnIfPlain(tile: Tile, ...publications: (TrackPublication | undefined)[]): void {
  tile.setNotice(publications.some(isPlain) ? 'call.plain' : undefined);
}
