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
  const wanted = deviceId ? { deviceId } : true;
  return sort(await createLocalTracks(kind === 'audio' ? { audio: wanted } : { video: wanted }));
}

/** One track as the browser has it. */
export async function captureTrack(kind: Kind, deviceId?: string): Promise<MediaStreamTrack> {
  const wanted = deviceId ? { deviceId } : true;
  const stream = await navigator.mediaDevices.getUserMedia(kind === 'audio' ? { audio: wanted } : { video: wanted });
  const [track] = stream.getTracks();
  if (!track) throw new DOMException('', 'NotFoundError');
  return track;
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
