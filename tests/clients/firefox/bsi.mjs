// Runs inside the network namespace of bsi.test.mjs, with KONSIL_CRYPTO=bsi. Throws if a call fails that should not, or the other way round.

import assert from 'node:assert/strict';
import { Guest } from '../harness/guest.mjs';
import { Partner } from '../harness/partner.mjs';
import { until } from '../harness/until.mjs';
import { inBoth } from './browsers.mjs';

const SRTP = /^(SRTP_)?AEAD_AES_(128|256)_GCM$/;
const DTLS = /^TLS_(ECDHE_ECDSA_WITH_)?AES_(128_GCM_SHA256|256_GCM_SHA384)$/;

/** What a page's connections chose; runs inside the page. */
async function chosen() {
  const { room, p2p } = window.konsil;
  const all = p2p ? [p2p.connection?.pc] : [room.engine.pcManager.publisher, room.engine.pcManager.subscriber];
  const found = [];
  for (const one of all) {
    (await one?.getStats())?.forEach((part) => {
      if (part.type === 'transport') found.push({ srtp: part.srtpCipher, dtls: part.dtlsCipher, version: part.tlsVersion, group: part.tlsGroup });
    });
  }
  return found;
}

async function inProfile(person) {
  const all = await until(`${person.name} to say what was chosen`, async () => {
    const found = await person.page.evaluate(chosen);
    return found.length > 0 && found.every(({ srtp, dtls }) => srtp && dtls) && found;
  });
  for (const { srtp, dtls } of all) {
    assert.match(srtp, SRTP, person.name);
    assert.match(dtls, DTLS, person.name);
  }
  console.log(person.name, JSON.stringify(all));
}

/** A room through the server, which chooses. */
async function throughServer({ server, carla, fritz }) {
  await carla.enter(server.run.host_link);
  await fritz.enter(await carla.invite());
  await Promise.all([carla.meets([fritz]), fritz.meets([carla])]);
  await Promise.all([carla, fritz].map(inProfile));
  await Promise.all([carla, fritz].map((one) => one.click('leave')));
}

async function links(server, id) {
  const made = await server.call('POST', '/v1/rooms', { body: { id, max_participants: 2 } });
  assert.equal(made.json().mode, 'p2p', made.text);
  return async (role) => {
    const invitation = await server.call('POST', `/v1/rooms/${id}/invitations`, { body: { kind: 'link', role } });
    const { pathname, hash } = new URL(invitation.json().link);
    return `${server.origin}${pathname}${hash}`;
  };
}

/** A room of two, whose browsers choose: Firefox is let to, whoever comes first. */
async function betweenBrowsers({ server, carla, fritz }) {
  const link = await links(server, 'two');
  await carla.enter(await link('host'));
  await fritz.enter(await link('guest'));
  const meet = async () => {
    await Promise.all([carla.meets(fritz), fritz.meets(carla)]);
    await Promise.all([carla, fritz].map(inProfile));
  };
  await meet();
  await carla.page.reload();
  await carla.join();
  await meet();
  await Promise.all([carla, fritz].map((one) => one.click('leave')));
}

/** Two browsers of a kind that chooses AES-CM: the call ends with words, and nothing was sent. */
async function outside({ server, carla }) {
  const link = await links(server, 'two-of-a-kind');
  const dora = await Partner.open(carla.page.context().browser(), server, 'Dora Drossel');
  const { page } = dora;
  await carla.enter(await link('host'));
  await page.goto(await link('guest'));
  await dora.sees('the microphone on', 'setup-mic', (it) => it.on === 'true');
  await dora.at('name-input').fill(dora.name);
  await dora.click('join');
  let sent = 0;
  const over = until('the call to end', async () => {
    const packets = await page.evaluate(async () => {
      let sum = 0;
      (await window.konsil?.p2p?.connection?.pc.getStats())?.forEach((part) => (sum += part.type === 'outbound-rtp' ? part.packetsSent : 0));
      return sum;
    });
    sent = Math.max(sent, packets);
    return (await dora.see('goodbye'))[0];
  });
  assert.equal((await over).reason, 'cipher');
  await carla.sees('why the call is over', 'goodbye', (it) => it.reason === 'cipher');
  assert.match(await dora.text(), /AES-GCM|Firefox/);
  assert.equal(sent, 0, 'media left before the choice was judged');
}

await inBoth(Guest, async (it) => {
  await throughServer(it);
  const [carla, fritz] = [it.carla, it.fritz].map(({ page, name, seen }) => new Partner(page, name, seen));
  await betweenBrowsers({ ...it, carla, fritz });
  await outside({ ...it, carla });
});
