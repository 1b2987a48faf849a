// Runs inside the network namespace of check.test.mjs: a server on its two ports, `konsil check` behind a firewall.
// Throws if it says anything but what is so.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Network, SERVER } from '../harness/network.mjs';
import { BINARY, Server } from '../harness/server.mjs';

const closing = [];

/** Runs the check in the client's network, far from the server's state folder. */
function check(network, ...args) {
  const dir = mkdtempSync(path.join(tmpdir(), 'konsil-check-'));
  closing.push(() => rmSync(dir, { recursive: true, force: true }));
  const [command, ...rest] = [...network.inside, BINARY, 'check', '--json', ...args];
  const child = spawn(command, rest, { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part) => (text += part));
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code) => {
      const { steps } = JSON.parse(text);
      const step = (name) => steps.find((one) => one.name === name);
      resolve({ code, text, step, bad: steps.filter(({ ok }) => !ok).map(({ name }) => name) });
    });
  });
}

try {
  const network = await Network.start();
  closing.push(() => network.stop());
  const server = await Server.start({
    listen: { KONSIL_HTTP_LISTEN: '[::]:443', KONSIL_MEDIA_UDP_LISTEN: '[::]:3478', KONSIL_MEDIA_ADVERTISE: SERVER },
  });
  closing.push(() => server.stop());
  const said = await check(network, `https://${SERVER}`);
  const sha = said.step('certificate').advice.match(/[0-9a-f]{64}/)[0];
  const link = [server.run.host_link, '--fingerprint', sha];

  network.allow('tcp dport 443 accept', 'udp dport 3478 accept');
  const open = await check(network, ...link);
  assert.deepEqual([open.code, open.bad], [0, []], open.text);

  // A link into a room of two opens its own signalling, and leaves the seat free again.
  await server.call('POST', '/v1/rooms', { body: { id: 'two', mode: 'p2p' } });
  const invitation = await server.call('POST', '/v1/rooms/two/invitations', { body: { kind: 'link', role: 'guest' } });
  for (let seat = 0; seat < 3; seat++) {
    const two = await check(network, invitation.json().link, '--fingerprint', sha);
    assert.deepEqual([two.code, two.bad], [0, []], two.text);
  }

  network.allow('tcp dport 443 accept');
  const blocked = await check(network, ...link);
  assert.deepEqual([blocked.code, blocked.bad], [1, ['stun-udp', 'turn-udp']], blocked.text);
  assert.match(blocked.step('turn-udp').advice, /let 3478\/udp out from this network to 203\.0\.113\.1/);
  assert.match(blocked.step('relay-loop').advice, /^443\/tcp: 0 of 50 packets lost/);

  network.allow('udp dport 3478 accept');
  const closed = await check(network, ...link);
  assert.equal(closed.code, 2, closed.text);
  assert.match(closed.step('certificate').advice, /let 443\/tcp out from this network to 203\.0\.113\.1/);
  assert.ok(closed.step('stun-udp').ok, closed.text);
} finally {
  for (const close of closing.reverse()) await close();
}
