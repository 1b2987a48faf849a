import { decodeBase64Url } from '../link';
import { type Bytes, digest, encode, joined, random, same, utf8 } from './bytes';
import { KEY, derive, open, seal } from './seal';
import { ADMIT, SECRET, type Tan, normalise } from './tan';

/** The key that a practice's browsers share and no server has. */
export type PracticeKey = Bytes;

/** Where a conversation takes place: the organisation's short code, and the room as its address names it. */
export interface Place {
  tenant: string;
  room: string;
}

/** Why a text brings no practice key. */
export type PracticeFault = 'none' | 'version' | 'damaged';
/** Why a sealed TAN stays closed: it was sealed under another practice key, or it is not what was sealed for this room. */
export type SealFault = 'other-key' | 'damaged';

type Store = Pick<Storage, 'getItem' | 'setItem'>;

const VERSION = 1;
const SALT = 16;
const MARK = 4;
const CHECKSUM = 4;
const SHORT = /konsil-practice:(\d{1,4}):([A-Za-z0-9_-]*)/;
const LONGEST_TEXT = 65536;

/** The key that this browser has. Where there is none, the first host's visit makes one. */
export function practiceKey(tenant: string, store: Store = localStorage): PracticeKey {
  const kept = keptPracticeKey(tenant, store);
  if (kept) return kept;
  const made = random(KEY);
  keepPracticeKey(tenant, made, store);
  return made;
}

/** The key that this browser has, if it has one. */
export function keptPracticeKey(tenant: string, store: Store = localStorage): PracticeKey | undefined {
  const key = importPracticeKey(store.getItem(slot(tenant)) ?? '');
  return typeof key === 'string' ? undefined : key;
}

/** Keeps an imported key. It takes the place of the one before, under which nothing can be opened here any more. */
export function keepPracticeKey(tenant: string, key: PracticeKey, store: Store = localStorage): void {
  store.setItem(slot(tenant), practiceText(key));
}

/** Short enough for a QR code. */
export function practiceText(key: PracticeKey): string {
  return `konsil-practice:${VERSION}:${encode(joined(key, checksum(key)))}`;
}

/** A file's text: what it is, in the words of `about`, and the key. */
export function practiceFile(key: PracticeKey, about: string): string {
  return `${about}\n\n${practiceText(key)}\n`;
}

/** Takes the key from what one of both functions above made, or says why there is none. */
export function importPracticeKey(text: string): PracticeKey | PracticeFault {
  const [, version, value = ''] = SHORT.exec(text.slice(0, LONGEST_TEXT)) ?? [];
  if (version === undefined) return 'none';
  if (Number(version) !== VERSION) return 'version';
  const bytes = decodeBase64Url(value);
  if (bytes?.length !== KEY + CHECKSUM) return 'damaged';
  const key = bytes.slice(0, KEY);
  return same(checksum(key), bytes.subarray(KEY)) ? key : 'damaged';
}

/** By what two people can tell whether their browsers have the same practice key: four letters and digits, no secret. */
export function practiceMark(key: PracticeKey): string {
  return Array.from(mark(key).subarray(0, 2), (byte) => byte.toString(16).padStart(2, '0'))
    .join('')
    .toUpperCase();
}

/** Seals a TAN for the practice's other browsers: version, mark of the key, salt, and the TAN under AES-256-GCM (48 bytes). */
export async function sealTan(key: PracticeKey, { tenant, room }: Place, { admit, secret }: Tan): Promise<string> {
  const head = joined(Uint8Array.of(VERSION), mark(key), random(SALT));
  return encode(joined(head, await seal(utf8(admit + secret), key, 'konsil sealed tan', head, tenant, room)));
}

/** Opens it again. The room is part of it, so that nobody can pass one room's TAN off as another's. */
export async function openTan(key: PracticeKey, { tenant, room }: Place, sealed: string): Promise<Tan | SealFault> {
  const bytes = decodeBase64Url(sealed);
  if (bytes?.[0] !== VERSION) return 'damaged';
  if (!same(bytes.subarray(1, 1 + MARK), mark(key))) return 'other-key';
  const head = bytes.subarray(0, 1 + MARK + SALT);
  const opened = await open(bytes.subarray(head.length), key, 'konsil sealed tan', head, tenant, room);
  const text = opened && normalise(new TextDecoder().decode(opened));
  if (text?.length !== ADMIT + SECRET) return 'damaged';
  return { admit: text.slice(0, ADMIT), secret: text.slice(ADMIT) };
}

/** What the practice's browsers recognise each other by in one room. */
export function practiceRoomSecret(key: PracticeKey, { tenant, room }: Place): Bytes {
  return derive(key, KEY, 'konsil practice in a room', tenant, room);
}

function slot(tenant: string): string {
  return `konsil.practice.${tenant}`;
}

function mark(key: PracticeKey): Bytes {
  return digest('konsil practice mark', key).slice(0, MARK);
}

function checksum(key: PracticeKey): Bytes {
  return digest('konsil practice checksum', Uint8Array.of(VERSION), key).slice(0, CHECKSUM);
}
