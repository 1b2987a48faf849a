import { decodeBase64Url } from '../link';
import { type Bytes, encode, joined, utf8 } from './bytes';
import { ELEMENT, TAG } from './cpace';
import { LONGEST_BODY } from './desk';
import { ADMIT, normalise } from './tan';

const VERSION = 1;
export const PUBLIC = 32;
export const PROOF = 32;
export const SESSION = 16;
export const SALT = 16;
export const NAME = 16;
export const EPOCH_KEY = 32;
/** How many people one message can name. */
export const MOST_MEMBERS = 48;
/** Epochs and the numbers of lists. No room lives to see the last one. */
export const LAST_EPOCH = 2 ** 47;
const NUMBER = 6;
export const MARK = 8;
const MOST_PROOFS = 2;
const LONGEST_NOTE = 1024;

/** By which secret somebody shows to belong here. */
export type ProofKind = 'link' | 'practice';
const PROOF_KINDS: ProofKind[] = ['link', 'practice'];

export type Refusal = 'wrong' | 'unable' | 'too-many';
const REFUSALS: Refusal[] = ['wrong', 'unable', 'too-many'];

export interface Proof {
  kind: ProofKind;
  tag: Bytes;
}

/** What is said in the open. `hello` is a key, and which of the other's keys is known; the rest are the steps of CPace. */
export type Message =
  | { type: 'hello'; key: Bytes; echo: Bytes | undefined; wants: boolean; ready: boolean; proofs: Proof[] }
  | { type: 'ask'; session: Bytes; key: Bytes; element: Bytes; admit: string }
  | { type: 'answer'; session: Bytes; key: Bytes; element: Bytes }
  | { type: 'confirm'; session: Bytes; tag: Bytes }
  | { type: 'confirmed'; session: Bytes; tag: Bytes }
  | { type: 'refuse'; session: Bytes; reason: Refusal }
  | { type: 'sealed'; salt: Bytes; text: Bytes };

/** Somebody, by the digest of the identity, and the public key that is known to be theirs. */
export interface Entry {
  name: Bytes;
  key: Bytes;
}

/** What two who trust each other say under their common secret. */
export type Inner =
  | { type: 'roster'; number: number; entries: Entry[] }
  | { type: 'epoch'; epoch: number; key: Bytes; entries: Entry[] }
  | { type: 'at'; epoch: number; mark: Bytes }
  | { type: 'note'; text: Bytes };

const TYPES: Message['type'][] = ['hello', 'ask', 'answer', 'confirm', 'confirmed', 'refuse', 'sealed'];
const INNER: Inner['type'][] = ['roster', 'epoch', 'at', 'note'];

export function writeMessage(message: Message): string {
  return encode(joined(Uint8Array.of(VERSION, TYPES.indexOf(message.type)), content(message)));
}

/** `undefined` for what is no message of this version. */
export function readMessage(body: string): Message | undefined {
  const bytes = body.length <= LONGEST_BODY ? decodeBase64Url(body) : undefined;
  if (bytes?.[0] !== VERSION) return undefined;
  return whole(bytes, (reader) => readContent(TYPES[reader.byte()], reader), 1);
}

export function writeInner(inner: Inner): Bytes {
  return joined(Uint8Array.of(INNER.indexOf(inner.type)), innerContent(inner));
}

export function readInner(bytes: Bytes): Inner | undefined {
  return whole(bytes, (reader) => readInnerContent(INNER[reader.byte()], reader));
}

function content(message: Message): Bytes {
  switch (message.type) {
    case 'hello': {
      const flags = (message.echo ? 1 : 0) | (message.wants ? 2 : 0) | (message.ready ? 4 : 0);
      const proofs = message.proofs.flatMap(({ kind, tag }) => [Uint8Array.of(PROOF_KINDS.indexOf(kind)), tag]);
      return joined(Uint8Array.of(flags), message.key, message.echo ?? new Uint8Array(), Uint8Array.of(message.proofs.length), ...proofs);
    }
    case 'ask':
      return joined(message.session, message.key, message.element, utf8(message.admit));
    case 'answer':
      return joined(message.session, message.key, message.element);
    case 'confirm':
    case 'confirmed':
      return joined(message.session, message.tag);
    case 'refuse':
      return joined(message.session, Uint8Array.of(REFUSALS.indexOf(message.reason)));
    case 'sealed':
      return joined(message.salt, message.text);
  }
}

function readContent(type: Message['type'] | undefined, reader: Reader): Message {
  switch (type) {
    case 'hello': {
      const flags = reader.byte();
      const key = reader.take(PUBLIC);
      const echo = flags & 1 ? reader.take(PUBLIC) : undefined;
      const proofs = reader.several(MOST_PROOFS, () => ({ kind: known(PROOF_KINDS[reader.byte()]), tag: reader.take(PROOF) }));
      return { type, key, echo, wants: (flags & 2) !== 0, ready: (flags & 4) !== 0, proofs };
    }
    case 'ask':
      return { type, session: reader.take(SESSION), key: reader.take(PUBLIC), element: reader.take(ELEMENT), admit: admit(reader) };
    case 'answer':
      return { type, session: reader.take(SESSION), key: reader.take(PUBLIC), element: reader.take(ELEMENT) };
    case 'confirm':
    case 'confirmed':
      return { type, session: reader.take(SESSION), tag: reader.take(TAG) };
    case 'refuse':
      return { type, session: reader.take(SESSION), reason: known(REFUSALS[reader.byte()]) };
    case 'sealed':
      return { type, salt: reader.take(SALT), text: reader.rest() };
    default:
      throw new Malformed();
  }
}

function innerContent(inner: Inner): Bytes {
  switch (inner.type) {
    case 'roster':
      return joined(number(inner.number), list(inner.entries));
    case 'epoch':
      return joined(number(inner.epoch), inner.key, list(inner.entries));
    case 'at':
      return joined(number(inner.epoch), inner.mark);
    case 'note':
      return joined(inner.text);
  }
}

function readInnerContent(type: Inner['type'] | undefined, reader: Reader): Inner {
  switch (type) {
    case 'roster':
      return { type, number: reader.number(), entries: entries(reader) };
    case 'epoch':
      return { type, epoch: reader.number(), key: reader.take(EPOCH_KEY), entries: entries(reader) };
    case 'at':
      return { type, epoch: reader.number(), mark: reader.take(MARK) };
    case 'note': {
      const text = reader.rest();
      if (text.length > LONGEST_NOTE) throw new Malformed();
      return { type, text };
    }
    default:
      throw new Malformed();
  }
}

function number(value: number): Bytes {
  return Uint8Array.from({ length: NUMBER }, (_, at) => Math.floor(value / 256 ** (NUMBER - 1 - at)) % 256);
}

/** In an order that does not depend on who lists them. */
export function sorted(entries: Entry[]): Entry[] {
  return [...entries].sort((one, other) => compare(one.name, other.name));
}

function compare(one: Bytes, other: Bytes): number {
  const at = one.findIndex((byte, at) => byte !== other[at]);
  return at < 0 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
}

function list(entries: Entry[]): Bytes {
  return joined(Uint8Array.of(entries.length), ...entries.flatMap(({ name, key }) => [name, key]));
}

function entries(reader: Reader): Entry[] {
  return reader.several(MOST_MEMBERS, () => ({ name: reader.take(NAME), key: reader.take(PUBLIC) }));
}

function admit(reader: Reader): string {
  const text = new TextDecoder().decode(reader.take(ADMIT));
  if (normalise(text) !== text) throw new Malformed();
  return text;
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Malformed();
  return value;
}

class Malformed extends Error {}

function whole<T>(bytes: Bytes, read: (reader: Reader) => T, at = 0): T | undefined {
  const reader = new Reader(bytes, at);
  try {
    const value = read(reader);
    return reader.done ? value : undefined;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

class Reader {
  constructor(
    private readonly bytes: Bytes,
    private at: number,
  ) {}

  get done(): boolean {
    return this.at === this.bytes.length;
  }

  take(length: number): Bytes {
    if (this.at + length > this.bytes.length) throw new Malformed();
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }

  byte(): number {
    return this.take(1)[0] ?? 0;
  }

  number(): number {
    const value = this.take(NUMBER).reduce((sum, byte) => sum * 256 + byte, 0);
    if (value > LAST_EPOCH) throw new Malformed();
    return value;
  }

  rest(): Bytes {
    return this.take(this.bytes.length - this.at);
  }

  several<T>(most: number, read: () => T): T[] {
    const count = this.byte();
    if (count > most) throw new Malformed();
    return Array.from({ length: count }, read);
  }
}
