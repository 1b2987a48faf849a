// aiortc by WHIP and WHEP on bad networks.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { setTimeout as passed } from 'node:timers/promises';
import { Impair } from './harness/impair.mjs';
import { Server, freePort } from './harness/server.mjs';
import { until } from './harness/until.mjs';

const VENV = path.resolve(import.meta.dirname, process.env.KONSIL_VENV ?? '../../target/venv');
const IMPAIRED = path.join(import.meta.dirname, 'python/impaired.py');

let server;
let origin;

before(async () => {
  const port = await freePort();
  server = await Server.start({ env: { KONSIL_HTTP_PLAIN_LISTEN: `127.0.0.1:${port}` } });
  origin = `http://127.0.0.1:${port}`;
});

after(() => server?.stop());

/** aiortc's encoder and viewer, each behind a proxy of its own. */
async function pair(room, act) {
  const [udp] = server.run.udp;
  const port = Number(udp.slice(udp.lastIndexOf(':') + 1));
  const [encoder, viewer] = [await Impair.before(port), await Impair.before(port)];
  const tokens = [server.join(room, 'encoder', { canSubscribe: false }), server.join(room, 'viewer', { canPublish: false })];
  const child = spawn(path.join(VENV, 'bin/python'), [IMPAIRED, origin, room, ...tokens, encoder.port, viewer.port], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const look = async () => {
    child.stdin.write('\n');
    return JSON.parse((await lines.next()).value);
  };
  /** What comes in the next seconds. */
  const during = async (seconds) => {
    const first = await look();
    await passed(seconds * 1000);
    const last = await look();
    const gain = (name) => last[name] - first[name];
    const told = { pictures: gain('pictures') / gain('made'), sound: gain('got') / (gain('got') + gain('lost')), played: gain('sound_s') / seconds, energy: gain('energy'), pause: last.pause_s, made: gain('made'), overflowed: viewer.counts.overflowed };
    console.log(`# ${room}: ${JSON.stringify(told)}`);
    return told;
  };
  /** Waits until pictures follow each other. */
  const moves = async () => {
    const first = await look();
    await until('pictures to move', async () => (await look()).pictures > first.pictures + 30, { within: 40_000, state: look });
  };
  try {
    await until('pictures and sound', async () => ((now) => now.pictures > 30 && now.sound_s > 2)(await look()), { state: look });
    await act({ encoder, viewer, during, moves });
  } finally {
    child.stdin.end();
    await new Promise((resolve) => child.once('exit', resolve));
    encoder.stop();
    viewer.stop();
  }
}

/** Packets of sound are not sent again. aiortc plays about half a second of each second when a tenth is lost, whoever sends. */
const heard = ({ sound, energy }, least) => assert.ok(sound > least && energy > 0.01, `${sound} of the sound came, energy ${energy}`);
const seen = ({ pictures }) => assert.ok(pictures > 0.7, `${pictures} of the pictures`);
const LOSSY = { loss: 0.1, delay: 20 };
const NARROW = { rate: 250, delay: 20 };

test('WHEP: sound comes where a tenth is lost, and pictures again through 250 kbit/s', { timeout: 120_000 }, () =>
  pair('whep', async ({ viewer, during, moves }) => {
    const good = await during(5);
    assert.ok(good.pictures > 0.95 && good.sound > 0.99, JSON.stringify(good));
    viewer.become({ down: LOSSY, up: { delay: 20 } });
    await passed(2_000);
    // aiortc asks again for what was lost twice only when more is lost, then waits for 512 packets before it asks for a keyframe.
    heard(await during(12), 0.8);
    viewer.become({ down: NARROW });
    await moves();
    const narrow = await during(12);
    heard(narrow, 0.97);
    seen(narrow);
  }));

test('WHIP: sound and pictures come where a tenth is lost, and through 250 kbit/s', { timeout: 120_000 }, () =>
  pair('whip', async ({ encoder, during }) => {
    encoder.become({ up: LOSSY, down: { delay: 20 } });
    await passed(2_000);
    const lossy = await during(12);
    heard(lossy, 0.8);
    seen(lossy);
    encoder.become({ up: NARROW });
    await passed(4_000);
    const narrow = await during(12);
    heard(narrow, 0.97);
    seen(narrow);
  }));
