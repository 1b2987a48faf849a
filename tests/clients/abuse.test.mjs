// Abuse of the relay and of the TCP side while a call goes on: memory stays bounded, the call does not notice.

import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import net from 'node:net';
import { cpus } from 'node:os';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { Plain } from './harness/plain.mjs';
import { Server } from './harness/server.mjs';
import { until } from './harness/until.mjs';

const HEARD = ['bert camera', 'bert microphone'];
/** What an attack may leave in memory, in bytes: buffers that the allocator keeps. */
const GROWTH_MAX = 60e6;

let server;
let plain;
let anna;
let bert;

before(async () => {
  server = await Server.start();
  server.udp = Number(server.run.udp[0].split(':').at(-1));
  plain = await Plain.start(server);
  anna = await plain.join('quiet', 'anna', { relay: 'udp' });
  bert = await plain.join('quiet', 'bert', { relay: 'udp' });
  await anna.hears(HEARD);
});

after(async () => {
  await plain?.stop();
  await server?.stop();
});

/** A STUN message (RFC 8489 §5) with attributes as [type, bytes]. */
function stun(type, attributes = []) {
  const body = attributes.map(([kind, value]) => {
    const bytes = Buffer.from(value);
    const head = Buffer.alloc(4);
    head.writeUInt16BE(kind, 0);
    head.writeUInt16BE(bytes.length, 2);
    return Buffer.concat([head, bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
  });
  const head = Buffer.alloc(20);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(body.reduce((sum, one) => sum + one.length, 0), 2);
  head.writeUInt32BE(0x2112a442, 4);
  randomBytes(12).copy(head, 8);
  return Buffer.concat([head, ...body]);
}

const UDP = [0x0019, [17, 0, 0, 0]];
const ALLOCATE = 0x0003;
/** An Allocate request that looks complete, with a wrong seal. */
const sealed = (user, nonce) =>
  stun(ALLOCATE, [UDP, [0x0006, user], [0x0014, 'konsil'], [0x0015, nonce], [0x0008, randomBytes(20)]]);

/** Throws `count` messages at the media port from `sockets` sources, in pieces that the kernel takes, and counts the answers. */
async function flood(make, { count = 4000, sockets = 8 } = {}) {
  const all = Array.from({ length: sockets }, () => dgram.createSocket('udp4'));
  let answers = 0;
  let largest = 0;
  for (const socket of all) {
    socket.on('message', (bytes) => {
      answers += 1;
      largest = Math.max(largest, bytes.length);
    });
    await new Promise((resolve) => socket.bind(0, '127.0.0.1', resolve));
  }
  for (let n = 0; n < count; n++) {
    await new Promise((resolve) => all[n % sockets].send(make(n), server.udp, '127.0.0.1', resolve));
  }
  // The workers answer this after what they were sent before; by then the answers have come too.
  await server.metric('konsil_turn_allocations');
  for (const socket of all) socket.close();
  return { answers, largest };
}

/** Does something bad while the call goes on, and looks at what it leaves. */
async function meanwhile(act) {
  const memory = await server.metric('process_resident_memory_bytes');
  const before = await server.metric('konsil_turn_allocations');
  await Promise.all([act(), anna.hears(HEARD)]);
  await anna.hears(HEARD);
  assert.equal(await server.metric('konsil_turn_allocations'), before, 'nobody else has a relayed address');
  const growth = (await server.metric('process_resident_memory_bytes')) - memory;
  assert.ok(growth < GROWTH_MAX, `the attack left ${growth} bytes`);
}

test('floods of requests without credentials are answered ten times a second', () =>
  meanwhile(async () => {
    const began = Date.now();
    const { answers, largest } = await flood(() => stun(ALLOCATE, [UDP]));
    const seconds = (Date.now() - began) / 1000 + 1;
    // Each media thread has a share of ten, of which it gives one at least.
    const most = Math.max(10, 2 * cpus().length) * (seconds + 1);
    assert.ok(answers > 0 && answers <= most, `${answers} answers in ${seconds} s`);
    assert.ok(largest < 160, `an answer has ${largest} bytes`);
  }));

test('wrong, foreign and expired credentials get nothing', () =>
  meanwhile(async () => {
    const [ice] = JSON.parse(server.token('--ice', '--room', 'other', '--identity', 'mallory')).iceServers;
    const expired = ice.username.replace(/^\d+/, '1000000000');
    const nonces = ['obMatJos2gAAA0000000000000000000000000000', 'x', ''];
    await flood((n) => sealed([ice.username, expired, 'x', `${n}:-AAAAAAAAAAAAAAAAAAAAAA`][n % 4], nonces[n % 3]));
  }));

test('garbage and cut messages are dropped', () =>
  meanwhile(async () => {
    const whole = stun(ALLOCATE, [UDP, [0x0006, 'a'.repeat(600)]]);
    const { answers } = await flood((n) => {
      if (n % 4 === 0) return randomBytes(1 + (n % 1400));
      if (n % 4 === 1) return whole.subarray(0, n % whole.length);
      if (n % 4 === 2) return Buffer.concat([Buffer.from([0x40, 1, 0xff, 0xff]), randomBytes(n % 1200)]);
      return Buffer.concat([stun(ALLOCATE, [[0x7ffe, randomBytes(1000)]]), randomBytes(n % 7)]);
    });
    assert.ok(answers <= 100, `${answers} answers to garbage`);
  }));

test('slow handshakes and streams that say nothing more are bounded', () =>
  meanwhile(async () => {
    const beginnings = [Buffer.from([0x16, 3, 1]), Buffer.from([0]), stun(ALLOCATE, [UDP]).subarray(0, 12), Buffer.from('GET / HT')];
    const sockets = Array.from({ length: 400 }, (_, n) => {
      const socket = net.connect(server.port, '127.0.0.1');
      socket.on('error', () => undefined).once('connect', () => socket.write(beginnings[n % beginnings.length]));
      return socket;
    });
    await until('the connections to stand', () => sockets.every((socket) => !socket.connecting));
    // The page of the server is still there for others.
    const { status } = await server.call('GET', '/v1/rooms');
    assert.equal(status, 200);
    for (const socket of sockets) socket.destroy();
  }));

test('a stream of allocations over TCP ends with the connection', () =>
  meanwhile(async () => {
    const sockets = Array.from({ length: 50 }, () => net.connect(server.port, '127.0.0.1'));
    let answered = 0;
    for (const socket of sockets) {
      socket.on('error', () => undefined).on('data', () => (answered += 1));
      for (let n = 0; n < 40; n++) socket.write(sealed('x', 'y'));
    }
    await until('an answer', () => answered > 0);
    // What loses its framing is closed at once, with answers that are still under way.
    for (const socket of sockets) socket.write(Buffer.from([0xff, 0xff, 0xff]));
    await until('the server to close what lost its framing', () => sockets.every((socket) => socket.destroyed || socket.readableEnded));
    for (const socket of sockets) socket.destroy();
  }));
