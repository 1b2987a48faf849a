import { Room, RoomEvent, type RoomOptions, setLogLevel } from 'livekit-client';
import E2EEWorker from 'livekit-client/e2ee-worker?worker';
import type { KeySource } from '../keys/keyring';
import type { P2pCall } from '../p2p/call';
import type { Setup } from '../pages/setup';
import { EpochKeys } from './provider';

export interface Session {
  room: Room;
  /** Connects as soon as there is a key. */
  connect(token: string): Promise<void>;
  /** Hears when others cannot be deciphered, which between two keys may happen for a moment. */
  onUndecipherable(heard: () => void): void;
  close(): void;
}

declare global {
  interface Window {
    /** Diagnostic hook for tests and support: the live call, nothing that the page itself has not. */
    konsil?: { room?: Room; p2p?: P2pCall };
  }
}

setLogLevel('warn');

/** A room that encrypts media and data messages before they leave the browser. */
export async function createSession(keys: KeySource, setup: Setup): Promise<Session> {
  const worker = new E2EEWorker();
  const keyProvider = new EpochKeys();
  const { audioinput, videoinput, audiooutput } = setup.devices;
  const room = new Room({
    // `encryption` covers data messages as well, the older `e2ee` option does not.
    encryption: { keyProvider, worker },
    adaptiveStream: true,
    dynacast: false,
    publishDefaults: { videoCodec: 'vp8', simulcast: true, backupCodec: false },
    audioCaptureDefaults: audioinput ? { deviceId: audioinput } : undefined,
    videoCaptureDefaults: videoinput ? { deviceId: videoinput } : undefined,
    audioOutput: audiooutput ? { deviceId: audiooutput } : undefined,
    ...layoutOverride(),
  });
  await room.setE2EEEnabled(true);
  const stop = keyProvider.follow(keys);
  window.konsil = { room };
  return {
    room,
    async connect(token) {
      await keyProvider.first;
      await room.connect(location.origin.replace(/^http/, 'ws'), token);
      await encrypting(room);
    },
    onUndecipherable(heard) {
      room.on(RoomEvent.EncryptionError, () => {
        if (!keyProvider.changing) heard();
      });
    },
    close() {
      stop();
      worker.terminate();
    },
  };
}

/** Nothing may be published before the worker has confirmed, or the first frames would leave in the clear. */
function encrypting(room: Room): Promise<void> {
  if (room.isE2EEEnabled) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('encryption did not start')), 5000);
    room.on(RoomEvent.ParticipantEncryptionStatusChanged, () => {
      if (!room.isE2EEEnabled) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** `?layout=single|dual` lets tests choose the number of peer connections. */
function layoutOverride(): Pick<RoomOptions, 'singlePeerConnection'> {
  const layout = new URLSearchParams(location.search).get('layout');
  return layout === null ? {} : { singlePeerConnection: layout !== 'dual' };
}
