import {
  type LocalAudioTrack,
  type LocalTrack,
  type LocalVideoTrack,
  MediaDeviceFailure,
  Track,
  createLocalTracks,
} from 'livekit-client';
import type { StringKey } from '../strings';

export type Kind = 'audio' | 'video';
export type Problem = Extract<StringKey, `media.${'camera' | 'microphone'}.${string}`>;

export interface Capture {
  audio?: LocalAudioTrack;
  video?: LocalVideoTrack;
  problems: Problem[];
}

/** Asks for both at once, so that the browser asks the person once; then for each that may still work. */
export async function captureBoth(): Promise<Capture> {
  try {
    return sort(await createLocalTracks({ audio: true, video: true }));
  } catch (together) {
    const audio = await captureOne('audio').catch((error: unknown) => ({
      problems: [problemOf('audio', error)],
    }));
    if ('audio' in audio) return { ...audio, problems: [problemOf('video', together)] };
    const video = await captureOne('video').catch((error: unknown) => ({
      problems: [problemOf('video', error)],
    }));
    return { ...video, problems: [...audio.problems, ...video.problems] };
  }
}

export async function captureOne(kind: Kind, deviceId?: string): Promise<Capture> {
  const open = async (wanted: Wanted) =>
    sort(await createLocalTracks(kind === 'audio' ? { audio: wanted } : { video: wanted }));
  return orAny(deviceId, open);
}

/** One track as the browser has it. */
export async function captureTrack(kind: Kind, deviceId?: string): Promise<MediaStreamTrack> {
  const open = (wanted: Wanted) =>
    navigator.mediaDevices.getUserMedia(kind === 'audio' ? { audio: wanted } : { video: wanted });
  const stream = await orAny(deviceId, open);
  const [track] = stream.getTracks();
  if (!track) throw new DOMException('', 'NotFoundError');
  return track;
}

type Wanted = true | { deviceId: { exact: string } };

/**
 * Opens the device that was chosen; any, if it is not there any more. A bare id is but a wish, for which Chromium opens
 * its first device.
 */
async function orAny<T>(deviceId: string | undefined, open: (wanted: Wanted) => Promise<T>): Promise<T> {
  if (!deviceId) return open(true);
  try {
    return await open({ deviceId: { exact: deviceId } });
  } catch (error) {
    if ((error as Error).name !== 'OverconstrainedError') throw error;
    return open(true);
  }
}

export function problemOf(kind: Kind, error: unknown): Problem {
  const device = kind === 'audio' ? 'microphone' : 'camera';
  switch (MediaDeviceFailure.getFailure(error)) {
    case MediaDeviceFailure.PermissionDenied:
      return `media.${device}.denied`;
    case MediaDeviceFailure.NotFound:
      return `media.${device}.missing`;
    case MediaDeviceFailure.DeviceInUse:
      return `media.${device}.busy`;
    default:
      return `media.${device}.failed`;
  }
}

function sort(tracks: LocalTrack[]): Capture {
  const capture: Capture = { problems: [] };
  for (const track of tracks) {
    if (track.kind === Track.Kind.Audio) capture.audio = track as LocalAudioTrack;
    else capture.video = track as LocalVideoTrack;
  }
  return capture;
}
