// Runs inside the network namespace of turn.test.mjs: coturn's own tools against the server. Prints a JSON line a run.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { Server } from '../harness/server.mjs';

const V4 = '10.66.0.1';
const V6 = 'fd66::1';
const PEER_PORT = 3480;
const PATIENCE = 60_000;

const closing = [];

/** Runs a tool to its end, whatever that is. */
const run = (tool, args) =>
  new Promise((resolve) => {
    execFile(tool, args, { timeout: PATIENCE }, (fault, stdout, stderr) => resolve({ code: fault?.code ?? 0, said: stdout + stderr }));
  });

function credentials(server, room) {
  const [ice] = JSON.parse(server.token('--ice', '--room', room, '--identity', 'tool')).iceServers;
  return ['-u', ice.username, '-w', ice.credential];
}

/** One run of turnutils_uclient; what it says of losses counts, not its exit status. */
async function uclient(server, name, { room = name, host = V4, port = server.udp, args }) {
  const login = credentials(server, room);
  const { said } = await run('turnutils_uclient', [...login, '-p', String(port), '-n', '20', '-m', '2', ...args, host]);
  const lost = /Total lost packets (\d+)/.exec(said);
  const sent = [...said.matchAll(/tot_send_msgs=(\d+)/g)].at(-1);
  console.log(JSON.stringify({ name, lost: lost ? Number(lost[1]) : null, sent: sent ? Number(sent[1]) : null, tail: said.slice(-600) }));
}

async function open() {
  for (const address of [V4, V6]) {
    const peer = spawn('turnutils_peer', ['-L', address, '-p', String(PEER_PORT)], { stdio: 'ignore' });
    closing.push(() => peer.kill('SIGKILL'));
  }
  const server = await Server.start({
    env: {
      KONSIL_MEDIA_ADVERTISE: `${V4},${V6}`,
      KONSIL_TURN_RELAY: 'open',
      KONSIL_TURN_ALLOW_PEERS: '10.0.0.0/8,fd00::/8',
      KONSIL_TURN_ALLOCATIONS_PER_USER: '50',
    },
  });
  closing.push(() => server.stop());
  server.udp = Number(server.run.udp[0].split(':').at(-1));
  const peer = ['-c', '-e', V4, '-r', String(PEER_PORT)];
  const peer6 = ['-c', '-e', V6, '-r', String(PEER_PORT)];
  const tcp = server.port;
  const runs = [
    ['channels', { args: peer }],
    ['send indications', { args: [...peer, '-s'] }],
    ['clients with each other', { args: ['-y', '-c'] }],
    ['DONT-FRAGMENT', { args: [...peer, '-g'] }],
    ['padded channels', { args: [...peer, '-D'] }],
    ['extra requests', { args: [...peer, '-G'] }],
    ['IPv4 asked for', { args: [...peer, '-X'] }],
    ['IPv6 relayed', { args: [...peer6, '-x'] }],
    ['IPv6 throughout', { host: V6, args: [...peer6, '-x'] }],
    ['IPv4 from IPv6', { host: V6, args: [...peer, '-X'] }],
    ['dual allocation', { args: [...peer, '-Z'] }],
    // To a peer of its own choice coturn's own server breaks this run off as well.
    ['negative tests', { args: ['-y', '-c', '-N'] }],
    ['random disconnects', { args: [...peer, '-B'] }],
    ['TCP', { port: tcp, args: [...peer, '-t'] }],
    ['TCP with padding', { port: tcp, args: [...peer, '-t', '-l', '101'] }],
    ['TLS', { port: tcp, args: [...peer, '-t', '-S'] }],
    ['wrong password', { args: [...peer, '-w', 'wrong'] }],
  ];
  // They wait most of their time. More at once than this would run into the bound of answers to one address.
  for (let at = 0; at < runs.length; at += 4) {
    await Promise.all(runs.slice(at, at + 4).map(([name, how]) => uclient(server, name, how)));
  }
  const stun = await run('turnutils_stunclient', ['-p', String(server.udp), V4]);
  console.log(JSON.stringify({ name: 'stunclient', said: stun.said.slice(-300) }));
  console.log(JSON.stringify({ name: 'left', allocations: await server.metric('konsil_turn_allocations') }));
}

try {
  for (const address of [`${V4}/32`, `${V6}/128`]) execFileSync('ip', ['addr', 'add', address, 'dev', 'lo', ...(address.includes(':') ? ['nodad'] : [])]);
  await open();
} finally {
  for (const close of closing.reverse()) await close();
}
