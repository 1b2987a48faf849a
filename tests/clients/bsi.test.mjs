// `crypto = "bsi"`: stock browsers connect with AES-GCM, and who has less for SRTP is refused.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Server, freePort } from './harness/server.mjs';

const PYTHON = path.join(path.resolve(import.meta.dirname, process.env.KONSIL_VENV ?? '../../target/venv'), 'bin/python');
const SRTP = path.join(import.meta.dirname, 'python/srtp.py');
// As in firefox.test.mjs.
const NETWORK = 'ip link set lo up && ip addr add 10.99.0.1/32 dev lo && ip route add default dev lo && exec "$@"';
const UNSHARE = process.getuid() === 0 ? ['-n'] : ['-rn'];

test('Firefox and Chromium talk by AES-GCM, through the server and with each other', { timeout: 120_000 }, async () => {
  const file = path.join(import.meta.dirname, 'firefox', 'bsi.mjs');
  const args = [...UNSHARE, '--', 'sh', '-c', NETWORK, 'sh', process.execPath, file];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, KONSIL_CRYPTO: 'bsi' } });
  let said = '';
  for (const out of [child.stdout, child.stderr]) out.on('data', (part) => (said += part));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  if (code !== 0) throw new Error(`a call failed (${code}):\n${said}`);
});

test('aiortc sends by AES-GCM, and not by AES-CM', { timeout: 60_000 }, async () => {
  const plain = `127.0.0.1:${await freePort()}`;
  const server = await Server.start({ env: { KONSIL_CRYPTO: 'bsi', KONSIL_HTTP_PLAIN_LISTEN: plain } });
  try {
    const refused = () => server.metric('konsil_dropped_datagrams_total{reason="handshake"}').catch(() => 0);
    const send = async (profiles) => {
      const token = server.join('ward', `encoder-${profiles}`);
      const { stdout } = await promisify(execFile)(PYTHON, [SRTP, `http://${plain}`, 'ward', token, profiles]);
      return JSON.parse(stdout).state;
    };
    assert.equal(await send('gcm'), 'connected');
    assert.equal(await refused(), 0);
    assert.equal(await send('cm'), 'failed');
    assert.ok((await refused()) > 0);
  } finally {
    await server.stop();
  }
});
