// Runs inside the network namespace of firefox.test.mjs: one server, two browsers, one call. Throws if it fails.

import { Guest } from '../harness/guest.mjs';
import { until } from '../harness/until.mjs';
import { inBoth } from './browsers.mjs';

async function call({ server, carla, fritz }) {
  const layout = process.argv[2];
  await carla.enter(server.run.host_link, { layout });
  await fritz.enter(await carla.invite(), { layout });
  await Promise.all([carla.meets([fritz]), fritz.meets([carla])]);

  await fritz.click('mute-mic');
  await carla.sees('the muted microphone', 'tile', (it) => it.identity === fritz.identity && it.muted === 'true');
  await fritz.click('mute-mic');
  await carla.meets([fritz]);

  await fritz.page.evaluate(() => window.konsil.room.engine.client.ws.close());
  await fritz.sees('the connection come back', 'status', (it) => it.state === 'reconnected' || it.state === 'connected');
  await Promise.all([carla.meets([fritz]), fritz.meets([carla])]);

  await fritz.click('leave');
  await fritz.sees('a goodbye', 'goodbye', (it) => it.reason === 'left');
  await until('Fritz to be gone', async () => (await carla.see('tile')).length === 1);
  // The numbers are made a few times a second.
  await until('the metrics to show it', async () => (await server.metric('konsil_participants')) === 1);
}

await inBoth(Guest, call);
