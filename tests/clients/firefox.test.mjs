// Stock Firefox and Chromium in one room of the built-in page.

import { spawn } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

// Firefox gathers no candidate without a default route and an address that is not loopback. A network namespace of
// the test's own has both, whatever machine this is; who is not root makes one in a user namespace.
const NETWORK = 'ip link set lo up && ip addr add 10.99.0.1/32 dev lo && ip route add default dev lo && exec "$@"';
const UNSHARE = process.getuid() === 0 ? ['-n'] : ['-rn'];

for (const [what, script] of [
  ['in one room', 'call.mjs'],
  ['in a room of two', 'p2p.mjs'],
]) {
  test(`Firefox and Chromium see and hear each other ${what}`, { timeout: 150_000 }, async () => {
    const file = path.join(import.meta.dirname, 'firefox', script);
    const args = [...UNSHARE, '--', 'sh', '-c', NETWORK, 'sh', process.execPath, file];
    const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const out of [child.stdout, child.stderr]) out.on('data', (part) => (said += part));
    const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
    if (code !== 0) throw new Error(`the call failed (${code}):\n${said}`);
  });
}
