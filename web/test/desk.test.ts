import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DeskClient } from '../src/desk/client';
import { DeskNames } from '../src/desk/names';
import { dropStay, keepStay, keptStay, renewStay } from '../src/desk/stay';
import { complete, foreignCharacter, groupTan } from '../src/desk/typing';
import { parseIncoming } from '../src/desk/wire';
import { encodeName } from '../src/names';

/** A server's desk that says what the test says. */
class Socket {
  static readonly OPEN = 1;
  static opened: Socket[] = [];
  readyState = 1;
  readonly sent: unknown[] = [];
  onmessage: ((event: { data: string }) => void) | undefined;
  onclose: (() => void) | undefined;
  constructor(readonly url: URL) {
    Socket.opened.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.readyState = 3;
  }
  hear(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  lose(): void {
    this.readyState = 3;
    this.onclose?.();
  }
}

const STANDING = { type: 'standing', state: 'waiting', identity: 'guest-1', role: 'guest', mode: 'sfu', locked: false };
const PERSON = { identity: 'host-1', role: 'host', state: 'here', since: 1 };

describe('the connection to the desk', () => {
  const told = { standing: vi.fn(), bye: vi.fn(), lost: vi.fn(), refused: vi.fn() };
  let desk: DeskClient;
  const socket = () => Socket.opened.at(-1) as Socket;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.clearAllMocks();
    Socket.opened = [];
    vi.stubGlobal('WebSocket', Socket);
    vi.stubGlobal('location', { origin: 'https://konsil.example' });
    vi.stubGlobal('window', new EventTarget());
    desk = new DeskClient('a.b.c', told);
  });

  afterEach(() => {
    desk.close();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('opens with the token, and tells standing and people', () => {
    expect(String(socket().url)).toBe('wss://konsil.example/v1/desk?token=a.b.c');
    const seen = vi.fn();
    desk.onPeople(seen);
    expect(seen).not.toHaveBeenCalled();
    socket().hear(STANDING);
    socket().hear({ type: 'people', people: [PERSON] });
    expect(told.standing).toHaveBeenCalledWith(STANDING);
    expect(seen).toHaveBeenCalledWith([PERSON]);
    const late = vi.fn();
    desk.onPeople(late);
    expect(late).toHaveBeenCalledWith([PERSON]);
  });

  it('comes back with the same token, tells the loss with an empty list, and asks why after a while', () => {
    socket().hear({ type: 'people', people: [PERSON] });
    const seen = vi.fn();
    desk.onPeople(seen);
    for (let times = 1; times <= 4; times++) {
      socket().lose();
      vi.advanceTimersByTime(5000);
    }
    expect(Socket.opened).toHaveLength(5);
    expect(Socket.opened.every(({ url }) => url.searchParams.get('token') === 'a.b.c')).toBe(true);
    expect(seen.mock.calls.map(([people]) => people.length)).toEqual([1, 0]);
    expect(told.lost.mock.calls.map(([ask]) => ask)).toEqual([false, false, false, true]);
    socket().hear(STANDING);
    socket().lose();
    expect(told.lost).toHaveBeenLastCalledWith(false);
  });

  it('is over after a bye, unless the server wants it back', () => {
    socket().hear({ type: 'bye', reason: 'shutdown', rejoin: true });
    socket().lose();
    vi.advanceTimersByTime(5000);
    expect(Socket.opened).toHaveLength(2);
    expect(told.bye).not.toHaveBeenCalled();
    socket().hear({ type: 'bye', reason: 'refused', rejoin: false });
    socket().lose();
    vi.advanceTimersByTime(60_000);
    expect(Socket.opened).toHaveLength(2);
    expect(told.bye).toHaveBeenCalledWith('refused');
  });

  it('carries orders and messages', () => {
    const heard = vi.fn();
    const stop = desk.onMessage(heard);
    socket().hear({ type: 'message', from: 'host-1', body: 'x' });
    stop();
    socket().hear({ type: 'message', from: 'host-1', body: 'y' });
    expect(heard.mock.calls).toEqual([['host-1', 'x']]);
    socket().hear({ type: 'refused', reason: 'room-full', detail: '' });
    expect(told.refused).toHaveBeenCalledWith('room-full');
    desk.send('host-1', 'hello');
    desk.order('admit', 'guest-2');
    desk.lock(true);
    desk.end();
    desk.leave();
    expect(socket().sent).toEqual([
      { type: 'message', to: 'host-1', body: 'hello' },
      { type: 'admit', identity: 'guest-2' },
      { type: 'lock', locked: true },
      { type: 'end' },
      { type: 'leave' },
    ]);
  });
});

describe('what the desk says', () => {
  it.each(['', 'null', '[]', '{"type":"new"}', '{"type":"people"}', '{"type":"message","from":1}', '{"type":"standing"}'])('does not understand %j', (text) =>
    expect(parseIncoming(text)).toBeUndefined(),
  );
});

describe('names at the desk', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('are told to whoever is known, asked for until they come, and cleaned', () => {
    const note = vi.fn();
    const changed = vi.fn();
    const names = new DeskNames('Anna', () => ({ note }), changed);
    names.meet('guest-1');
    expect(note).toHaveBeenCalledWith('guest-1', encodeName('Anna'));
    vi.advanceTimersByTime(6500);
    const asked = note.mock.calls.slice(1).map(([, text]) => new TextDecoder().decode(text));
    expect(asked).toEqual(['{"ask":true}', '{"ask":true}']);
    names.hear('guest-1', encodeName(' Bert\u202e\n '));
    expect(names.of('guest-1')).toBe('Bert');
    expect(changed).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(60_000);
    expect(note).toHaveBeenCalledTimes(3);
    names.hear('guest-1', new TextEncoder().encode('{"ask":true}'));
    expect(note).toHaveBeenLastCalledWith('guest-1', encodeName('Anna'));
    names.close();
  });

  it('are not asked for without end, nor from who has gone', () => {
    const note = vi.fn();
    const names = new DeskNames('', () => ({ note }), () => undefined);
    names.meet('a');
    names.meet('b');
    names.keep(new Set(['a']));
    vi.advanceTimersByTime(3_600_000);
    expect(note.mock.calls.map(([to]) => to)).toEqual(Array.from({ length: 20 }, () => 'a'));
    names.close();
  });
});

describe('a stay by TAN', () => {
  const tan = { admit: '7KQ2M9', secret: 'XC4TB' };
  const store = () => {
    const kept = new Map<string, string>();
    return { kept, getItem: (key: string) => kept.get(key) ?? null, setItem: (key: string, value: string) => void kept.set(key, value), removeItem: (key: string) => void kept.delete(key) };
  };

  it('is kept in this browser until its end', () => {
    const at = store();
    keepStay('praxis', { resume: 'r', tan, until: 100 }, at);
    expect(keptStay('praxis', 99, at)).toEqual({ resume: 'r', tan, until: 100 });
    expect(keptStay('other', 99, at)).toBeUndefined();
    renewStay('praxis', { ...tan, secret: '00000' }, at);
    expect(keptStay('praxis', 99, at)?.tan.secret).toBe('00000');
    expect(keptStay('praxis', 100, at)).toBeUndefined();
    expect(at.kept.size).toBe(0);
  });

  it('is dropped', () => {
    const at = store();
    keepStay('praxis', { resume: 'r', tan, until: 100 }, at);
    dropStay('praxis', at);
    expect(at.kept.size).toBe(0);
  });

  it.each(['', '{}', 'null', '{"resume":"r","tan":"7KQ2","until":1000}', '{"resume":1,"tan":"x","until":"y"}'])('is none in %j', (text) => {
    const at = store();
    at.kept.set('konsil.stay.praxis', text);
    expect(keptStay('praxis', 1, at)).toBeUndefined();
  });
});

describe('typing a TAN', () => {
  it.each([
    ['7kq2m', 5, '7KQ2-M', 6],
    ['7kq2', 4, '7KQ2', 4],
    ['7KQ2-', 5, '7KQ2', 4],
    ['7kq2m9xc4tb0', 12, '7KQ2-M9XC-4TB0', 14],
    ['7KQ2-M9XC', 2, '7KQ2-M9XC', 2],
    [' 7kq2–m9 ', 9, '7KQ2-M9', 7],
    ['7KQ!', 4, '7KQ!', 4],
  ])('%j is grouped', (typed, cursor, text, after) => expect(groupTan(typed, cursor)).toEqual({ text, cursor: after }));

  it('notices a character that no TAN has, and look-alikes are none', () => {
    expect(foreignCharacter('7KQ!')).toBe('!');
    expect(foreignCharacter('7kQU')).toBe('U');
    expect(foreignCharacter('oil-7k')).toBeUndefined();
  });

  it('knows when it is whole', () => {
    expect(complete('7KQ2-M9XC-4TB')).toBe(false);
    expect(complete('7KQ2-M9XC-4TB0')).toBe(true);
  });
});
