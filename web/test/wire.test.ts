import { describe, expect, it } from 'vitest';
import { encode, random } from '../src/keys/bytes';
import { LONGEST_BODY } from '../src/keys/desk';
import { type Inner, LAST_EPOCH, MOST_MEMBERS, type Message, readInner, readMessage, writeInner, writeMessage } from '../src/keys/wire';
import { seeded } from './hall';

const key = random(32);
const session = random(16);
const entries = (count: number) => Array.from({ length: count }, () => ({ name: random(16), key: random(32) }));

const messages: Message[] = [
  { type: 'hello', key, echo: undefined, wants: true, ready: false, proofs: [] },
  { type: 'hello', key, echo: random(32), wants: false, ready: true, proofs: [{ kind: 'practice', tag: random(32) }, { kind: 'link', tag: random(32) }] },
  { type: 'ask', session, key, element: random(32), admit: '7KQ2M9' },
  { type: 'answer', session, key, element: random(32) },
  { type: 'confirm', session, tag: random(64) },
  { type: 'confirmed', session, tag: random(64) },
  { type: 'refuse', session, reason: 'too-many' },
  { type: 'sealed', salt: random(16), text: random(40) },
];

const whispers: Inner[] = [
  { type: 'roster', number: 70000, entries: entries(3) },
  { type: 'epoch', epoch: LAST_EPOCH, key, entries: entries(MOST_MEMBERS) },
  { type: 'at', epoch: 0, mark: random(8) },
  { type: 'note', text: random(1024) },
];

describe('messages', () => {
  it.each(messages)('$type is read as it was written, and not with a byte more or less', (message) => {
    const body = writeMessage(message);
    expect(readMessage(body)).toEqual(message);
    if (message.type === 'sealed') return;
    expect(readMessage(`${body}AAAA`)).toBeUndefined();
    expect(readMessage(body.slice(0, -4))).toBeUndefined();
  });

  it.each(whispers)('$type is read as it was written, and not with a byte more or less', (inner) => {
    const bytes = writeInner(inner);
    expect(readInner(bytes)).toEqual(inner);
    expect(readInner(bytes.slice(0, -1))?.type).toBe(inner.type === 'note' ? 'note' : undefined);
    expect(readInner(Uint8Array.from([...bytes, 0]))).toBeUndefined();
  });

  it('fit into the bodies that the desk relays, with as many people as they may name', () => {
    const text = writeInner({ type: 'epoch', epoch: 1, key, entries: entries(MOST_MEMBERS) });
    const tag = 16;
    const body = writeMessage({ type: 'sealed', salt: random(16), text: Uint8Array.from([...text, ...random(tag)]) });
    expect(body.length).toBeLessThanOrEqual(LONGEST_BODY);
  });

  it('name no more people than they may', () => {
    expect(readInner(writeInner({ type: 'roster', number: 1, entries: entries(MOST_MEMBERS + 1) }))).toBeUndefined();
    expect(readInner(writeInner({ type: 'at', epoch: LAST_EPOCH + 1, mark: random(8) }))).toBeUndefined();
  });

  it('of another version are not read', () => {
    const bytes = atob(writeMessage(messages[3] as Message).replaceAll('-', '+').replaceAll('_', '/'));
    expect(readMessage(btoa(`\u0002${bytes.slice(1)}`).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, ''))).toBeUndefined();
  });

  it('of any bytes do no harm', () => {
    const chance = seeded(5);
    for (let i = 0; i < 5000; i++) {
      const bytes = Uint8Array.from({ length: chance(200) }, () => chance(256));
      readInner(bytes);
      bytes.set([1, chance(8)].slice(0, bytes.length));
      readMessage(encode(bytes));
    }
  });
});
