// coturn's own tools against the open relay: the conformance run of RFC 8656 by a foreign client.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { before, test } from 'node:test';

// Private addresses that the relay may reach exist in a namespace of the test's own.
const UNSHARE = process.getuid() === 0 ? ['-n'] : ['-rn'];
const TOOLS = path.join(import.meta.dirname, 'turn/tools.mjs');

const runs = new Map();

before(async () => {
  const args = [...UNSHARE, '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, TOOLS];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let said = '';
  child.stdout.on('data', (part) => (out += part));
  child.stderr.on('data', (part) => (said += part));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`the run failed (${code}):\n${out}${said}`);
  for (const line of out.trim().split('\n')) {
    const one = JSON.parse(line);
    runs.set(one.name, one);
  }
});

const ALL_ARRIVES = [
  'channels',
  'send indications',
  'clients with each other',
  'DONT-FRAGMENT',
  'padded channels',
  'extra requests',
  'IPv4 asked for',
  'IPv6 relayed',
  'IPv6 throughout',
  'IPv4 from IPv6',
  'dual allocation',
  'negative tests',
  'random disconnects',
  'TCP',
  'TCP with padding',
  'TLS',
];

for (const name of ALL_ARRIVES) {
  test(`turnutils_uclient: ${name}`, () => {
    const one = runs.get(name);
    assert.equal(one.lost, 0, one.tail);
    assert.ok(one.sent > 0, one.tail);
  });
}

test('turnutils_uclient: a wrong password gets nothing', () => {
  const one = runs.get('wrong password');
  assert.notEqual(one.lost, 0, one.tail);
});

test('turnutils_stunclient learns its address', () => {
  assert.match(runs.get('stunclient').said, /reflexive addr: 10\.66\.0\.1:\d+/);
});
