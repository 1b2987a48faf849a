// Runs inside the network namespace of firefox.test.mjs: two browsers in a room of two. Throws if it fails.

import assert from 'node:assert/strict';
import { Partner } from '../harness/partner.mjs';
import { until } from '../harness/until.mjs';
import { inBoth } from './browsers.mjs';

async function call({ server, carla, fritz }) {
  const made = await server.call('POST', '/v1/rooms', { body: { id: 'two', max_participants: 2 } });
  assert.equal(made.json().mode, 'p2p', made.text);
  const link = async (role) => {
    const invitation = await server.call('POST', '/v1/rooms/two/invitations', { body: { kind: 'link', role } });
    const { pathname, hash } = new URL(invitation.json().link);
    return `${server.origin}${pathname}${hash}`;
  };
  // Each of them offers once: who comes first does.
  const meet = async () => {
    await Promise.all([carla.meets(fritz), fritz.meets(carla)]);
    assert.equal(await carla.code(), await fritz.code());
    assert.deepEqual(await carla.pair(), { local: 'relay', remote: 'relay' });
  };
  await carla.enter(await link('host'));
  await fritz.enter(await link('guest'));
  await meet();
  await carla.page.reload();
  await carla.join();
  await meet();

  await fritz.click('mute-mic');
  await carla.sees('the muted microphone', 'tile', (it) => it.identity === 'partner' && it.muted === 'true');
  await fritz.click('mute-mic');
  // Carla answered last, so Fritz must not choose his part anew when she offers.
  const ufrag = () => carla.page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(window.konsil.p2p.connection.pc.currentLocalDescription.sdp)[1]);
  const before = await ufrag();
  await carla.page.evaluate(() => window.konsil.p2p.restart());
  await until('the answer to new ICE credentials', async () => (await ufrag()) !== before);
  await Promise.all([carla, fritz].map((one) => one.receives('camera')));
  assert.equal(await carla.code(), await fritz.code());

  // Where no way is found the connection fails, and another one is made.
  const session = await fritz.session();
  await fritz.page.evaluate(() => {
    const { pc } = window.konsil.p2p.connection;
    pc.setConfiguration = (how) => {
      delete pc.setConfiguration;
      pc.setConfiguration({ ...how, iceServers: [] });
    };
  });
  await carla.page.evaluate(() => window.konsil.p2p.restart());
  await until('Fritz to begin anew', async () => (await fritz.session()) !== session);
  await meet();
  await fritz.click('leave');
  await until('Fritz to be gone', async () => (await carla.see('tile')).length === 1);
  assert.equal(await server.metric('konsil_rtp_packets_total{direction="in",kind="video"}'), 0);
}

await inBoth(Partner, call);
