import { type LocalParticipant, type Room, RoomEvent } from 'livekit-client';

/** One's own part of a call, as the controls need it: through the server, or straight to the other person. */
export interface Media {
  readonly microphone: boolean;
  readonly camera: boolean;
  readonly screen: boolean;
  setMicrophone(on: boolean): Promise<unknown>;
  setCamera(on: boolean): Promise<unknown>;
  setScreen(on: boolean): Promise<unknown>;
  activeDevice(kind: MediaDeviceKind): string | undefined;
  switchDevice(kind: MediaDeviceKind, id: string): Promise<unknown>;
  leave(): void;
  onChange(heard: () => void): void;
}

export class RoomMedia implements Media {
  private readonly me: LocalParticipant;

  constructor(private readonly room: Room) {
    this.me = room.localParticipant;
  }

  get microphone(): boolean {
    return this.me.isMicrophoneEnabled;
  }

  get camera(): boolean {
    return this.me.isCameraEnabled;
  }

  get screen(): boolean {
    return this.me.isScreenShareEnabled;
  }

  setMicrophone(on: boolean): Promise<unknown> {
    return this.me.setMicrophoneEnabled(on);
  }

  setCamera(on: boolean): Promise<unknown> {
    return this.me.setCameraEnabled(on);
  }

  setScreen(on: boolean): Promise<unknown> {
    return this.me.setScreenShareEnabled(on, { audio: true });
  }

  activeDevice(kind: MediaDeviceKind): string | undefined {
    return this.room.getActiveDevice(kind);
  }

  switchDevice(kind: MediaDeviceKind, id: string): Promise<unknown> {
    return this.room.switchActiveDevice(kind, id);
  }

  leave(): void {
    void this.room.disconnect();
  }

  onChange(heard: () => void): void {
    for (const event of [
      RoomEvent.LocalTrackPublished,
      RoomEvent.LocalTrackUnpublished,
      RoomEvent.TrackMuted,
      RoomEvent.TrackUnmuted,
    ] as const) {
      this.room.on(event, heard);
    }
  }
}
