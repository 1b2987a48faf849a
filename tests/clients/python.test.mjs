// Python: LiveKit's SDK (the Rust SDK underneath) with two bots in each layout; aioice through the relay; aiortc by WHIP and WHEP.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { Server, freePort } from './harness/server.mjs';

const VENV = path.resolve(import.meta.dirname, process.env.KONSIL_VENV ?? '../../target/venv');
const PYTHON = path.join(VENV, 'bin/python');
const BOTS = path.join(import.meta.dirname, 'python/bots.py');
const RELAY = path.join(import.meta.dirname, 'python/relay.py');
const WHIP = path.join(import.meta.dirname, 'python/whip.py');
const SHARE = 0.95;

let server;
let url;

before(async () => {
  assert.ok(existsSync(PYTHON), `${PYTHON} is not there: make it with \`python3 -m venv\` and python/requirements.txt, or name it in KONSIL_VENV`);
  // The SDK trusts no self-signed certificate, so it comes as from a reverse proxy on this machine.
  const port = await freePort();
  server = await Server.start({ env: { KONSIL_HTTP_PLAIN_LISTEN: `127.0.0.1:${port}` } });
  url = `ws://127.0.0.1:${port}`;
});

after(() => server?.stop());

for (const layout of ['single', 'dual']) {
  test(`two bots, ${layout}: pictures, sound and data both ways`, { timeout: 90_000 }, async () => {
    const room = `bots-${layout}`;
    const tokens = ['bot-a', 'bot-b'].map((identity) => server.token('--room', room, '--identity', identity));
    const { stdout } = await promisify(execFile)(PYTHON, [BOTS, url, layout, ...tokens]);
    const told = JSON.parse(stdout);
    const other = { a: 'bot-b', b: 'bot-a' };
    for (const [name, bot] of Object.entries(told)) {
      const share = bot.received / bot.sent;
      console.log(`# ${layout}, bot ${name}: ${bot.received} of ${bot.sent} pictures, energy ${bot.energy.toFixed(3)}`);
      assert.ok(share >= SHARE, `bot ${name} received ${bot.received} of ${bot.sent} pictures`);
      assert.ok(bot.energy > 0.01, `bot ${name} heard only ${bot.energy}`);
      for (const word of bot.words) assert.equal(word.from, other[name]);
      const reliable = bot.words.filter((word) => word.reliable);
      assert.deepEqual(reliable.map(({ text, topic }) => [text, topic]), [['reliable words', 'chat']]);
      assert.ok(bot.words.some((word) => !word.reliable && word.text === 'lossy words'), 'lossy words');
    }
  });
}

for (const transport of ['udp', 'tcp', 'tls']) {
  test(`aioice: two agents meet through the relay by ${transport}`, { timeout: 60_000 }, async () => {
    const ice = ['a', 'b'].map((identity) => JSON.parse(server.token('--ice', '--room', `aioice-${transport}`, '--identity', identity)));
    const { stdout } = await promisify(execFile)(PYTHON, [RELAY, JSON.stringify(ice), transport]);
    const told = JSON.parse(stdout);
    assert.deepEqual(told.pairs, [
      ['relay', 'relay'],
      ['relay', 'relay'],
    ]);
    const numbers = Array.from({ length: 20 }, (_, number) => number);
    // Datagrams may overtake each other, but none is lost on one machine.
    assert.deepEqual(told.heard[0].toSorted(), numbers.map((number) => `b ${number}`).toSorted());
    assert.deepEqual(told.heard[1].toSorted(), numbers.map((number) => `a ${number}`).toSorted());
  });
}

test('aiortc: what WHIP sends comes by WHEP', { timeout: 60_000 }, async () => {
  const tokens = [server.join('aiortc', 'encoder', { canSubscribe: false }), server.join('aiortc', 'viewer', { canPublish: false })];
  const { stdout } = await promisify(execFile)(PYTHON, [WHIP, url.replace('ws:', 'http:'), 'aiortc', ...tokens]);
  const told = JSON.parse(stdout);
  assert.deepEqual([told.trickled, told.ended, told.links], [204, [200, 200], 2]);
  assert.deepEqual([told.pictures, told.size], [60, [320, 240]]);
  assert.ok(told.sound_s >= 2 && told.energy > 0.01, `heard ${told.energy} in ${told.sound_s} s`);
});
