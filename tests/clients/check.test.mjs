// `konsil check` behind firewalls: it names the rule that is missing.

import { spawn } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';

// The server's side of the cable is a namespace of the test's own; who is not root makes one in a user namespace.
const UNSHARE = process.getuid() === 0 ? ['-n'] : ['-rn'];
const SCENES = path.join(import.meta.dirname, 'firewall/check.mjs');

test('konsil check names the missing firewall rule', { timeout: 120_000 }, async () => {
  const args = [...UNSHARE, '--', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, SCENES];
  const child = spawn('unshare', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const out of [child.stdout, child.stderr]) out.on('data', (part) => (said += part));
  const code = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  // Where namespaces cannot be made, unshare says so here.
  if (code !== 0) throw new Error(`the check failed (${code}):\n${said}`);
});
