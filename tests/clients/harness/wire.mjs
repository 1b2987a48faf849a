// A stretch of UDP on the way to a server that can be cut.

import dgram from 'node:dgram';

/** Carries datagrams between clients and a server's port until it is cut. */
export class Wire {
  static async to(port) {
    const wire = new Wire();
    Object.assign(wire, { whole: true, clients: new Map(), near: dgram.createSocket('udp4') });
    wire.near.on('message', (bytes, from) => wire.whole && wire.far(from, port).send(bytes, port, '127.0.0.1'));
    wire.near.bind(0, '127.0.0.1');
    await new Promise((resolve) => wire.near.once('listening', resolve));
    wire.port = wire.near.address().port;
    return wire;
  }

  /** The server's side of one client. */
  far(client) {
    const known = this.clients.get(client.port);
    if (known) return known;
    const socket = dgram.createSocket('udp4');
    socket.on('message', (bytes) => this.whole && this.near.send(bytes, client.port, client.address));
    this.clients.set(client.port, socket);
    return socket;
  }

  cut() {
    this.whole = false;
  }

  mend() {
    this.whole = true;
  }

  close() {
    for (const socket of [this.near, ...this.clients.values()]) socket.close();
  }
}
