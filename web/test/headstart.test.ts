import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { endsHeadstart, HEADSTART_MS, Headstart } from '../src/p2p/headstart';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('candidates wait for the way by UDP and then go in their order', () => {
  const done: number[] = [];
  const headstart = new Headstart();
  headstart.begin();
  headstart.after(() => done.push(1));
  headstart.after(() => done.push(2));
  expect(done).toEqual([]);
  headstart.end();
  headstart.after(() => done.push(3));
  expect(done).toEqual([1, 2, 3]);
});

test('without UDP they wait half a second', () => {
  const done: number[] = [];
  const headstart = new Headstart();
  headstart.begin();
  headstart.after(() => done.push(1));
  vi.advanceTimersByTime(HEADSTART_MS - 1);
  expect(done).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(done).toEqual([1]);
});

test('a new search holds anew and keeps what waits', () => {
  const done: number[] = [];
  const headstart = new Headstart();
  headstart.begin();
  headstart.after(() => done.push(1));
  vi.advanceTimersByTime(HEADSTART_MS - 1);
  headstart.begin();
  headstart.after(() => done.push(2));
  vi.advanceTimersByTime(HEADSTART_MS - 1);
  expect(done).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(done).toEqual([1, 2]);
});

test('what is held is forgotten with the connection', () => {
  const done: number[] = [];
  const headstart = new Headstart();
  headstart.begin();
  headstart.after(() => done.push(1));
  headstart.cancel();
  vi.advanceTimersByTime(HEADSTART_MS);
  expect(done).toEqual([]);
});

test('only the relay by UDP, or the end of all candidates, ends it', () => {
  const one = (type: RTCIceCandidateType, relayProtocol: 'udp' | 'tcp' | 'tls' | null) => ({ candidate: 'candidate:1', type, relayProtocol });
  expect(endsHeadstart(one('relay', 'udp'))).toBe(true);
  expect(endsHeadstart(one('relay', null))).toBe(true);
  expect(endsHeadstart(one('relay', 'tls'))).toBe(false);
  expect(endsHeadstart(one('host', null))).toBe(false);
  expect(endsHeadstart(null)).toBe(true);
  expect(endsHeadstart({ ...one('host', null), candidate: '' })).toBe(true);
});
