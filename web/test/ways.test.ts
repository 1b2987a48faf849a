import { describe, expect, it } from 'vitest';
import { isGood, measured, readTurn, ruleOf, serversOf } from '../src/probe/ways';

const urls = ['turn:a.example:3478?transport=udp', 'turns:a.example:443?transport=tcp', 'turn:a.example:443?transport=tcp'];
const servers = [{ urls, username: 'u', credential: 'c' }];

describe('ways to the relay', () => {
  it('are read from their addresses', () => {
    expect(urls.map((url) => readTurn(url)?.way)).toEqual(['udp', 'tls', 'tcp']);
    expect(readTurn('turn:[2001:db8::1]:3478')).toEqual({ way: 'udp', rule: { protocol: 'udp', host: '[2001:db8::1]', port: 3478 } });
    for (const other of ['stun:a:1', 'turn:a', 'turns:a:1?transport=udp', 'x']) expect(readTurn(other)).toBeUndefined();
  });

  it('are tried one at a time, with their credentials', () => {
    expect(serversOf(servers, 'tls')).toEqual([{ urls: [urls[1]], username: 'u', credential: 'c' }]);
    expect(serversOf([{ urls: urls[0]! }], 'tcp')).toEqual([]);
    expect(ruleOf(serversOf(servers, 'udp'))).toEqual({ protocol: 'udp', host: 'a.example', port: 3478 });
    expect(ruleOf([])).toBeUndefined();
  });
});

describe('what came back', () => {
  it('is judged by loss and by time', () => {
    expect(measured(50, [30, 10, 20])).toEqual({ sent: 50, back: 3, roundTrip: 20 });
    expect(measured(50, [])).toEqual({ sent: 50, back: 0, roundTrip: 0 });
    expect(isGood({ sent: 50, back: 48, roundTrip: 500 })).toBe(true);
    expect(isGood({ sent: 50, back: 47, roundTrip: 20 })).toBe(false);
    expect(isGood({ sent: 50, back: 50, roundTrip: 501 })).toBe(false);
  });
});
