import { cleanName } from '../names';

/** What one person tells the other of itself, over the data channel and never through the server. */
export interface Presence {
  name: string;
  microphone: boolean;
  camera: boolean;
  screen: boolean;
}

/** Longer messages are none of ours. */
const MAX = 4096;

export function encodePresence(presence: Presence): string {
  return JSON.stringify(presence);
}

export function decodePresence(message: unknown): Presence | undefined {
  if (typeof message !== 'string' || message.length > MAX) return undefined;
  try {
    const { name, microphone, camera, screen } = (JSON.parse(message) ?? {}) as Record<string, unknown>;
    return {
      name: typeof name === 'string' ? cleanName(name) : '',
      microphone: microphone === true,
      camera: camera === true,
      screen: screen === true,
    };
  } catch {
    return undefined;
  }
}
