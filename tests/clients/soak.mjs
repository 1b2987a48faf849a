// Joins and leaves for as long as asked, by real browsers, then looks for what has grown.
//
//     SECONDS_EACH=600 node soak.mjs

import assert from 'node:assert/strict';
import { Plain } from './harness/plain.mjs';
import { Server } from './harness/server.mjs';
import { until } from './harness/until.mjs';

const SECONDS = Number(process.env.SECONDS_EACH ?? 600);
/** Rounds until caches and allocators have their size. */
const WARM_UP = 3;
/** Memory that may be gained after the warm-up, as a share: fragmentation, not a leak a round. */
const GROWTH = 1.3;
/** Clients that vanish are reaped after consent and resume window. */
const REAPED_MS = 60_000;

const gone = async (server) => (await server.metric('konsil_participants')) === 0;

/** Four people in two rooms: one leaves, one vanishes with its page, two are cut by the end of the browser. */
async function round(server, number) {
  const plain = await Plain.start(server);
  try {
    const people = [];
    for (const [at, layout] of ['single', 'dual', 'single', 'dual'].entries()) {
      people.push(await plain.join(`soak-${number}-${at % 2}`, `person-${at}`, { layout }));
    }
    const [anna, bert] = people;
    await people[2].hears(['person-0 microphone', 'person-0 camera']);
    await anna.do((room) => room.disconnect());
    await bert.page.close();
  } finally {
    await plain.stop();
  }
  await until('everybody to be gone', () => gone(server), { within: REAPED_MS });
}

async function measure(server) {
  const names = ['process_resident_memory_bytes', 'process_open_fds', 'konsil_tracks', 'konsil_signal_connections'];
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await server.metric(name)])));
}

const server = await Server.start({ env: { KONSIL_ROOMS_EMPTY_TIMEOUT_S: '1' } });
const end = Date.now() + SECONDS * 1000;
let warm;
let last;
for (let number = 1; number <= WARM_UP + 1 || Date.now() < end; number += 1) {
  await round(server, number);
  last = await measure(server);
  if (number === WARM_UP) warm = last;
  console.log(`round ${number}: ${JSON.stringify(last)}`);
}
await until('rooms to end', async () => (await server.metric('konsil_rooms')) === 0, { within: REAPED_MS });
assert.ok(last.process_resident_memory_bytes < warm.process_resident_memory_bytes * GROWTH, 'memory grows');
assert.ok(last.process_open_fds <= warm.process_open_fds + 2, 'descriptors leak');
assert.deepEqual([last.konsil_tracks, last.konsil_signal_connections], [0, 0], 'something of those who left is left');
await server.stop();
console.log('1 passed, 0 failed');
