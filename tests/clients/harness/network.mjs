// A client's network of its own behind a firewall, inside the namespace that the test runs in.

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from './until.mjs';

/** Addresses of documentation (RFC 5737), so that nothing takes them for a private network. */
export const SERVER = '203.0.113.1';
const CLIENT = '203.0.113.2';
/** What the server sees of the client behind its NAT, before and after the NAT has forgotten it. */
export const OUTSIDE = ['203.0.113.3', '203.0.113.4'];

const run = (command, ...args) => execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** A network namespace with one cable to the server's, and a firewall at its end. */
export class Network {
  static async start() {
    const network = new Network();
    network.dir = mkdtempSync(path.join(tmpdir(), 'konsil-network-'));
    // It lives as long as somebody lives in it.
    network.holder = spawn('unshare', ['-n', '--', 'sleep', 'infinity'], { stdio: 'ignore' });
    const { pid } = network.holder;
    const own = run('readlink', '/proc/self/ns/net');
    await until('the client network', () => {
      const name = run('readlink', `/proc/${pid}/ns/net`);
      return name !== own && run('cat', `/proc/${pid}/comm`).trim() === 'sleep';
    });
    network.inside = ['nsenter', '-t', String(pid), '-n', '--'];
    run('ip', 'link', 'add', 'server0', 'type', 'veth', 'peer', 'name', 'client0', 'netns', String(pid));
    // Addresses that IPv6 makes up come late, and each is a change of network to a browser.
    run('ip', 'link', 'set', 'server0', 'addrgenmode', 'none');
    network.do('ip', 'link', 'set', 'client0', 'addrgenmode', 'none');
    run('ip', 'addr', 'add', `${SERVER}/24`, 'dev', 'server0');
    run('ip', 'link', 'set', 'server0', 'up');
    network.do('ip', 'link', 'set', 'lo', 'up');
    network.do('ip', 'addr', 'add', `${CLIENT}/24`, 'dev', 'client0');
    network.do('ip', 'link', 'set', 'client0', 'up');
    network.do('ip', 'route', 'add', 'default', 'via', SERVER);
    const [{ address }] = JSON.parse(network.do('ip', '-j', 'link', 'show', 'client0'));
    for (const outside of OUTSIDE) run('ip', 'neigh', 'add', outside, 'lladdr', address, 'dev', 'server0');
    return network;
  }

  do(...command) {
    const [first, ...rest] = [...this.inside, ...command];
    return run(first, ...rest);
  }

  /** Lets out only what `rules` accept, such as `tcp dport 443 accept`; answers come back. */
  allow(...rules) {
    this.load(`
      table inet fw {}
      flush table inet fw
      table inet fw {
        chain out {
          type filter hook output priority 0; policy drop;
          oif lo accept
          ${rules.join('\n          ')}
        }
        chain in {
          type filter hook input priority 0; policy drop;
          iif lo accept
          tcp flags ack tcp sport { 443 } accept
          ${rules.some((rule) => rule.includes('udp')) ? 'udp sport { 443, 3478 } accept' : ''}
        }
      }`);
  }

  /** Media leave by UDP from the address `outside`, and only what is sent there comes back: a NAT that forgets nothing by itself. */
  translate(outside) {
    this.load(`
      table ip nat_fw {}
      flush table ip nat_fw
      table ip nat_fw {
        chain out {
          type filter hook postrouting priority 0; policy accept;
          udp dport 3478 ip saddr ${CLIENT} ip saddr set ${outside}
        }
        chain in {
          type filter hook prerouting priority -300; policy accept;
          udp sport 3478 ip daddr ${CLIENT} drop
          udp sport 3478 ip daddr ${outside} ip daddr set ${CLIENT}
        }
      }`);
  }

  load(text) {
    const file = path.join(this.dir, 'rules.nft');
    writeFileSync(file, text);
    this.do('nft', '-f', file);
  }

  /** A program that starts `program` in this network. */
  wrap(program) {
    const file = path.join(this.dir, path.basename(program));
    writeFileSync(file, `#!/bin/sh\nexec ${this.inside.join(' ')} ${program} "$@"\n`);
    chmodSync(file, 0o755);
    return file;
  }

  stop() {
    this.holder?.kill('SIGKILL');
    rmSync(this.dir, { recursive: true, force: true });
  }
}
