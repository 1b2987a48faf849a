// Plain livekit-client with media through the relay only: by UDP, TCP and TLS, all by the server's two ports.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Plain } from './harness/plain.mjs';
import { Server } from './harness/server.mjs';
import { until } from './harness/until.mjs';

let server;
let plain;

before(async () => {
  server = await Server.start();
  plain = await Plain.start(server);
});

after(async () => {
  await plain?.stop();
  await server?.stop();
});

for (const [relay, layout] of [
  ['udp', 'single'],
  ['tcp', 'single'],
  ['tls', 'single'],
  ['tls', 'dual'],
]) {
  describe(`through the relay by ${relay}, ${layout} layout`, () => {
    const room = `relay-${relay}-${layout}`;
    let anna;
    let bert;

    before(async () => {
      anna = await plain.join(room, 'anna', { layout, relay });
      bert = await plain.join(room, 'bert', { layout, relay });
    });
    after(async () => {
      await anna?.close();
      await bert?.close();
    });

    test('both see and hear each other', async () => {
      await Promise.all([anna.hears(['bert camera', 'bert microphone']), bert.hears(['anna camera', 'anna microphone'])]);
    });

    test('media take no other way', async () => {
      const pairs = await anna.page.evaluate(() => window.pairs());
      assert.equal(pairs.length, layout === 'dual' ? 2 : 1);
      for (const pair of pairs) {
        assert.equal(pair.candidateType, 'relay', JSON.stringify(pair));
        assert.equal(pair.relayProtocol, relay, JSON.stringify(pair));
      }
      assert.ok((await server.metric('konsil_turn_allocations')) >= 2);
      assert.ok((await server.metric('konsil_turn_bytes_total{direction="in"}')) > 10_000);
      assert.ok((await server.metric('konsil_turn_bytes_total{direction="out"}')) > 10_000);
    });

    test('who leaves leaves no relayed address behind', async () => {
      await anna.close();
      await bert.close();
      await until('the relay to be empty', async () => (await server.metric('konsil_turn_allocations')) === 0);
    });
  });
}
