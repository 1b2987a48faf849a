// Calls through firewalls: two open ports are enough, and one is too.

import { spawn } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

// The server's side of the cable is a namespace of the test's own; who is not root makes one in a user namespace.
const UNSHARE = process.getuid() === 0 ? ['-n'] : ['-rn'];
const CALL = path.join(import.meta.dirname, 'firewall/call.mjs');

async function scene(name) {
  const args = [...UNSHARE, '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, CALL, name];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const out of [child.stdout, child.stderr]) out.on('data', (part) => (said += part));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  // Where namespaces cannot be made, unshare says so here.
  if (code !== 0) throw new Error(`the call failed (${code}):\n${said}`);
}

test('with only 443/tcp open a call works', { timeout: 120_000 }, () => scene('only 443/tcp'));
test('with the two ports open a call goes over UDP', { timeout: 120_000 }, () => scene('two ports'));
test('with only 443/tcp open two people talk peer to peer', { timeout: 120_000 }, () => scene('only 443/tcp, two people'));
test('with the two ports open two people talk over UDP', { timeout: 120_000 }, () => scene('two ports, two people'));
test('when UDP dies in a call, media come back over TCP', { timeout: 300_000 }, () => scene('udp dies'));
test('a call goes on when a NAT forgets it', { timeout: 120_000 }, () => scene('a NAT rebinds'));
test('two people talk on when a NAT forgets them', { timeout: 120_000 }, () => scene('a NAT rebinds, two people'));
test('the page tests the connection and names the missing rule', { timeout: 120_000 }, () => scene('the page tests the connection'));
