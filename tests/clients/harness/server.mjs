// One `konsil serve` in a state folder of its own.

import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from './until.mjs';

export const BINARY = path.resolve(
  import.meta.dirname,
  '..',
  process.env.KONSIL_BIN ?? '../../target/debug/konsil',
);
const STOP_MS = 20_000;

/** A running server; ports are chosen by the system. */
export class Server {
  /** `within` is a command that runs its arguments elsewhere, such as in a network namespace. */
  static async start(options = {}) {
    const server = new Server();
    server.options = options;
    server.dir = mkdtempSync(path.join(tmpdir(), 'konsil-clients-'));
    server.logPath = path.join(server.dir, 'log');
    server.secrets = new Set();
    await server.spawn({ KONSIL_HTTP_LISTEN: '[::]:0', ...options.listen });
    return server;
  }

  async spawn(listen) {
    const { env = {}, within = [] } = this.options;
    const log = openSync(this.logPath, 'a');
    const [command, ...args] = [...within, BINARY, 'serve', '--state', this.state];
    this.child = spawn(command, args, {
      stdio: ['ignore', log, log],
      env: {
        ...process.env,
        KONSIL_MEDIA_UDP_LISTEN: '[::]:0',
        KONSIL_METRICS_LISTEN: '127.0.0.1:0',
        KONSIL_LOG_LEVEL: 'debug',
        ...listen,
        ...env,
      },
    });
    closeSync(log);
    this.ended = new Promise((resolve, reject) => {
      this.child.once('exit', (code, signal) => resolve({ code, signal }));
      this.child.once('error', reject);
    });
    await this.ready();
  }

  get state() {
    return path.join(this.dir, 'state');
  }

  get log() {
    return readFileSync(this.logPath, 'utf8');
  }

  async ready() {
    let over;
    this.ended.then(
      ({ code, signal }) => (over = `the server ended at once (${code ?? signal})`),
      (error) => (over = `${BINARY} cannot be run: ${error.message}. Build it, or name it in KONSIL_BIN.`),
    );
    const read = () => over ?? JSON.parse(readFileSync(path.join(this.state, 'run.json'), 'utf8'));
    const run = await until('run.json', read, { state: () => this.log });
    if (run === over) throw new Error(`${over}\n${this.log}`);
    this.run = run;
    this.key = JSON.parse(readFileSync(path.join(this.state, 'api-key.json'), 'utf8'));
    this.port = Number(this.run.https.slice(this.run.https.lastIndexOf(':') + 1));
    this.secrets.add(this.key.secret);
  }

  /** For clients on this machine. */
  get origin() {
    return `https://127.0.0.1:${this.port}`;
  }

  get signal() {
    return `wss://127.0.0.1:${this.port}`;
  }

  /** A token as an operator gets it, by `konsil token`. */
  token(...args) {
    const token = execFileSync(BINARY, ['token', ...args, '--state', this.state], { encoding: 'utf8' }).trim();
    this.secrets.add(token);
    return token;
  }

  /** A token with exactly these LiveKit grants. */
  grant(identity, video, claims = {}) {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ iss: this.key.key, sub: identity, exp, video, ...claims })}`;
    const token = `${body}.${createHmac('sha256', this.key.secret).update(body).digest('base64url')}`;
    this.secrets.add(token);
    return token;
  }

  /** Joins `room` and may do there what a LiveKit token allows unless it says otherwise. */
  join(room, identity, video = {}) {
    return this.grant(identity, { roomJoin: true, room, ...video });
  }

  get admin() {
    this.adminToken ??= this.token('--admin');
    return this.adminToken;
  }

  /** One HTTPS request; the certificate is self-signed. */
  call(method, url, { token = this.admin, body, type = 'application/json' } = {}) {
    const headers = { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': type }) };
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    return request(https, new URL(url, this.origin), { method, headers, rejectUnauthorized: false }, text);
  }

  /** A WebSocket handshake that is expected to be refused. */
  upgrade(url) {
    const headers = {
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': randomBytes(16).toString('base64'),
    };
    return request(https, new URL(url, this.origin), { headers, rejectUnauthorized: false });
  }

  /** Value of a metric, such as `konsil_rtp_packets_total{direction="in",kind="audio"}`. */
  async metric(name) {
    const { status, text } = await request(http, new URL(`http://${this.run.metrics}/metrics`), {});
    assert.equal(status, 200, 'the metrics listener must answer');
    const line = text.split('\n').find((one) => one.startsWith(`${name} `));
    assert.ok(line, `no metric ${name} in\n${text}`);
    return Number(line.slice(name.length + 1));
  }

  /** Stops as systemd does, and looks at what the run left behind. */
  async stop() {
    if (!this.run) return;
    try {
      await this.end();
    } finally {
      rmSync(this.dir, { recursive: true, force: true });
    }
  }

  /** Stops and starts again with the same state and HTTPS port, as an update does. */
  async restart() {
    await this.end();
    await this.spawn({ KONSIL_HTTP_LISTEN: `[::]:${this.port}` });
  }

  async end() {
    const faults = this.child.exitCode === null ? await this.metric('konsil_room_faults_total').catch(() => 0) : 0;
    this.child.kill('SIGTERM');
    const late = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
    const end = await this.ended;
    clearTimeout(late);
    const log = this.log;
    assert.deepEqual(end, { code: 0, signal: null }, `the server must end well after SIGTERM; its log:\n${log.slice(-4000)}`);
    assert.equal(faults, 0, `rooms ended by faults of the server; its log:\n${log.slice(-4000)}`);
    assert.doesNotMatch(log, /panicked/, 'the server panicked');
    
    for (const secret of this.secrets) assert.ok(!log.includes(secret), 'a token or the secret is in the log');
  }
}

/** A TCP port that was free a moment ago, for settings whose real address nothing tells. */
export async function freePort() {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

function request(over, url, options, body) {
  return new Promise((resolve, reject) => {
    const sent = over.request(url, { agent: false, ...options }, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part)).on('error', reject);
      answer.on('end', () => {
        const text = Buffer.concat(parts).toString();
        resolve({ status: answer.statusCode, headers: answer.headers, text, json: () => JSON.parse(text) });
      });
    });
    sent.on('error', reject).end(body);
  });
}
