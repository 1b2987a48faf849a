// A bad network between a browser and the server: a UDP proxy on loopback with loss, delay and a bottleneck.

import dgram from 'node:dgram';
import { setTimeout as timer } from 'node:timers/promises';

const MTU = 1500;

/** One direction: a bottleneck with a queue, then the wire. */
class Way {
  constructor(send) {
    this.send = send;
    this.free = 0;
    this.good();
  }

  good() {
    this.set({});
  }

  /** `loss` from 0 to 1, `delay` in ms, `rate` in kbit/s, `queue` in ms that a datagram may wait for its turn. */
  set({ loss = 0, delay = 0, rate = Infinity, queue = 300 }) {
    Object.assign(this, { loss, delay, rate, queue });
    this.counts = { passed: 0, lost: 0, overflowed: 0 };
  }

  pass(bytes) {
    const now = performance.now();
    const begins = Math.max(now, this.free);
    if (Math.random() < this.loss) return void this.counts.lost++;
    if (begins - now > this.queue) return void this.counts.overflowed++;
    this.counts.passed++;
    this.free = begins + (Math.min(bytes.length, MTU) * 8) / this.rate;
    const wait = this.free + this.delay - now;
    if (wait < 1) this.send(bytes);
    else timer(wait).then(() => this.send(bytes));
  }
}

/** The proxy. Every flow of a browser has a socket of its own towards the server, so that the server sees them apart. */
export class Impair {
  /** In front of the server's UDP port on loopback. */
  static async before(port) {
    const impair = new Impair();
    impair.target = port;
    impair.flows = new Map();
    impair.front = dgram.createSocket('udp4');
    impair.front.on('message', (bytes, { address, port: from }) => impair.flow(address, from).up.pass(bytes));
    await new Promise((resolve) => impair.front.bind(0, '127.0.0.1', resolve));
    impair.port = impair.front.address().port;
    impair.how = {};
    return impair;
  }

  flow(address, port) {
    const name = `${address} ${port}`;
    const known = this.flows.get(name);
    if (known) return known;
    const socket = dgram.createSocket('udp4');
    const open = (act) => (bytes) => this.closed || act(bytes);
    const up = new Way(open((bytes) => socket.send(bytes, this.target, '127.0.0.1')));
    const down = new Way(open((bytes) => this.front.send(bytes, port, address)));
    socket.on('message', (bytes) => down.pass(bytes));
    const flow = { socket, up, down };
    this.flows.set(name, flow);
    this.apply(flow);
    return flow;
  }

  apply({ up, down }) {
    up.set(this.how.up ?? {});
    down.set(this.how.down ?? {});
  }

  /** From now on the network is like this: `{ up, down }`. */
  become(how) {
    this.how = how;
    this.flows.forEach((flow) => this.apply(flow));
  }

  /** What became of the datagrams to the browser since the network last changed. */
  get counts() {
    const sum = { passed: 0, lost: 0, overflowed: 0 };
    for (const { down } of this.flows.values()) for (const name of Object.keys(sum)) sum[name] += down.counts[name];
    return sum;
  }

  stop() {
    this.closed = true;
    this.front.close();
    this.flows.forEach(({ socket }) => socket.close());
  }
}

/** For a page's beginning: its server's media port is another one on loopback, and there is no way but UDP. */
export function onlyThroughPort(port) {
  const here = (line) => (/ udp \d+ 127\.0\.0\.1 \d+ typ host/i.test(line) ? line.replace(/(127\.0\.0\.1) \d+/, `$1 ${port}`) : '');
  const Direct = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Direct {
    setRemoteDescription({ type, sdp }) {
      return super.setRemoteDescription({ type, sdp: sdp.replace(/^a=candidate:.*\r\n/gm, here) });
    }
  };
}
