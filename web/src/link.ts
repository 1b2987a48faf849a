export type Key = Uint8Array<ArrayBuffer>;

export interface RoomLink {
  room: string;
  token: string | undefined;
  key: Key | undefined;
}

const KEY_BYTES = 16;

export function parseRoomLink(url: URL): RoomLink | undefined {
  const room = roomOf(url.pathname);
  if (room === undefined) return undefined;
  const fragment = new URLSearchParams(url.hash.slice(1));
  return { room, token: fragment.get('t') || undefined, key: decodeKey(fragment.get('k') ?? '') };
}

export function withKey(link: string, key: Key): string {
  return `${link}${link.includes('#') ? '&' : '#'}k=${encodeKey(key)}`;
}

export function newKey(): Key {
  return crypto.getRandomValues(new Uint8Array(KEY_BYTES));
}

export function encodeKey(key: Key): string {
  return btoa(String.fromCharCode(...key))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '');
}

export function decodeKey(text: string): Key | undefined {
  const bytes = decodeBase64Url(text);
  return bytes?.length === KEY_BYTES ? bytes : undefined;
}

export function decodeBase64Url(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/^[A-Za-z0-9_-]*$/.test(text)) return undefined;
  try {
    const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
    return Uint8Array.from(binary, (c) => c.charCodeAt(0));
  } catch {
    return undefined;
  }
}

/** The short code of the organisation on whose page a TAN is typed. */
export function parseTanAddress(url: URL): string | undefined {
  return partOf(url.pathname, /^\/t\/([^/]+)\/?$/);
}

function roomOf(path: string): string | undefined {
  return partOf(path, /^\/r\/([^/]+)\/?$/);
}

function partOf(path: string, pattern: RegExp): string | undefined {
  const name = pattern.exec(path)?.[1];
  if (name === undefined) return undefined;
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}
