// Two people in a room of mode p2p: the built-in page on both sides, ciphertext through the relay.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launchChromium } from './harness/chromium.mjs';
import { Partner } from './harness/partner.mjs';
import { Server } from './harness/server.mjs';
import { until } from './harness/until.mjs';
import { Wire } from './harness/wire.mjs';

const SHOTS = path.resolve(import.meta.dirname, '../../target/screenshots');
const ROOM = 'sprechstunde';

let server;
let browser;
let anna;
let bert;

const visitor = (name, options) => Partner.open(browser, server, name, options);
const shot = (person, name) => person.page.screenshot({ path: path.join(SHOTS, `${name}.png`) });

async function make(room) {
  const made = await server.call('POST', '/v1/rooms', { body: room });
  assert.equal(made.status, 201, made.text);
  return made.json();
}

async function link(room, role) {
  const made = await server.call('POST', `/v1/rooms/${room}/invitations`, { body: { kind: 'link', role } });
  assert.equal(made.status, 201, made.text);
  // Its host is the one that the server knows best; this is the one that the browser can reach.
  const { pathname, hash } = new URL(made.json().link);
  return `${server.origin}${pathname}${hash}`;
}

/** Two who talk in a room of their own, and leave at the end. */
async function together(room, act, { prepare } = {}) {
  const body = { id: `room-${Math.random().toString(36).slice(2)}`, mode: 'p2p', ...room };
  await make(body);
  const two = [await visitor('Nora Nachtigall'), await visitor('Otto Ortolan')];
  try {
    for (const one of two) await prepare?.(one.page);
    await two[0].enter(await link(body.id, 'host'));
    await two[1].enter(await link(body.id, 'guest'));
    await two[0].meets(two[1]);
    await two[1].meets(two[0]);
    await act(...two, body.id);
  } finally {
    for (const one of two) await one.page.context().close();
  }
}

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  server = await Server.start();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('two people meet by links without a key, and see and hear each other', async () => {
  const room = await make({ id: ROOM, mode: 'p2p' });
  assert.deepEqual([room.mode, room.hide_addresses, room.max_participants, room.e2ee], ['p2p', true, 2, 'required']);
  anna = await visitor('Dr. Anna Amsel');
  bert = await visitor('Bert Buchfink', { locale: 'de-DE', viewport: { width: 390, height: 780 } });
  await anna.enter(await link(ROOM, 'host'));
  assert.match(await anna.text(), /first one here/);
  await shot(anna, 'p2p-alone');
  await bert.enter(await link(ROOM, 'guest'));
  await anna.meets(bert);
  await bert.meets(anna);
  await shot(anna, 'p2p-host');
  await shot(bert, 'p2p-guest');
});

test('both see the same safety code, with words for what it is good', async () => {
  const [mine, yours] = [await anna.code(), await bert.code()];
  assert.match(mine, /^\d{5}( \d{5}){5}$/);
  assert.equal(mine, yours);
  assert.match(await anna.allText(), /Read the code out to each other/);
  assert.match(await bert.allText(), /Lesen Sie sich den Code gegenseitig vor/);
});

test('only relayed addresses are known to anybody', async () => {
  for (const one of [anna, bert]) {
    assert.deepEqual(await one.pair(), { local: 'relay', remote: 'relay' });
    const words = one.words();
    const candidates = words.flatMap((text) => [...text.matchAll(/candidate:\S+ [^"\\]*/g)].map(String));
    assert.ok(candidates.length > 0, 'candidates were exchanged');
    for (const candidate of candidates) assert.match(candidate, / typ relay raddr (0\.0\.0\.0|::) rport 0/);
    one.learnsNoAddress();
  }
});

test('the server relays, and its SFU has nothing to do', async () => {
  const relayed = await server.metric('konsil_turn_bytes_total{direction="in"}');
  await until('more to be relayed', async () => (await server.metric('konsil_turn_bytes_total{direction="in"}')) > relayed + 100_000);
  assert.ok((await server.metric('konsil_turn_allocations')) >= 2);
  for (const direction of ['in', 'out']) {
    for (const kind of ['audio', 'video']) {
      assert.equal(await server.metric(`konsil_rtp_packets_total{direction="${direction}",kind="${kind}"}`), 0);
    }
  }
  assert.deepEqual([await server.metric('konsil_rooms'), await server.metric('konsil_participants')], [1, 2]);
  const told = await server.call('GET', `/v1/rooms/${ROOM}/participants`);
  for (const { name } of [anna, bert]) assert.ok(!told.text.includes(name), 'a name is in the server');
  for (const one of [anna, bert]) assert.ok(!one.words().join('').includes(one.name), 'a name went through the server');
});

test('a third person is refused, whichever way it comes', async () => {
  const cleo = await visitor('Cleo Dohle');
  const invitation = await link(ROOM, 'guest');
  await cleo.page.goto(invitation);
  await cleo.sees('the microphone on', 'setup-mic', (it) => it.on === 'true');
  await cleo.at('name-input').fill(cleo.name);
  await cleo.click('join');
  await cleo.sees('that the room is full', 'goodbye', (it) => it.reason === 'full');
  await cleo.page.context().close();
  const refused = await server.upgrade(`/v1/p2p?token=${server.join(ROOM, 'cleo')}`);
  assert.equal(refused.status, 409);
  assert.equal(JSON.parse(refused.text).type, '/problems/room-full');
});

test('the protocols of the other mode stay outside', async () => {
  const token = server.join(ROOM, 'dora');
  const livekit = await server.call('GET', '/rtc/validate', { token });
  assert.deepEqual([livekit.status, /p2p/.test(livekit.text)], [403, true], livekit.text);
  const whip = await server.call('POST', `/whip/${ROOM}`, { token, body: 'v=0\r\nm=audio 9 X 0\r\na=mid:0\r\n', type: 'application/sdp' });
  assert.deepEqual([whip.status, whip.json().type], [409, '/problems/wrong-mode']);
  await make({ id: 'many', mode: 'sfu' });
  const p2p = await server.upgrade(`/v1/p2p?token=${server.join('many', 'dora')}`);
  assert.deepEqual([p2p.status, JSON.parse(p2p.text).type], [409, '/problems/wrong-mode']);
  const observer = server.join(ROOM, 'x', { canPublish: false });
  assert.equal((await server.upgrade(`/v1/p2p?token=${observer}`)).status, 403);
});

test('mute, camera and screen show at the other side, without a new negotiation', async () => {
  const before = anna.descriptions();
  await anna.click('mute-mic');
  await bert.sees('a mute', 'tile', (it) => it.local === 'false' && it.muted === 'true');
  await bert.silent('microphone', 'camera');
  await anna.click('mute-mic');
  await bert.sees('the end of the mute', 'tile', (it) => it.local === 'false' && it.muted === 'false');
  await bert.receives('microphone');
  await bert.click('mute-cam');
  await until('no picture of bert', async () => (await anna.shownVideos('partner')) === 0);
  await anna.silent('camera', 'microphone');
  await shot(anna, 'p2p-camera-off');
  await bert.click('mute-cam');
  await anna.receives('camera');
  await until('a picture of bert', async () => (await anna.shownVideos('partner')) === 1);
  await bert.click('share-screen');
  await anna.sees('the screen', 'screen-tile', (it) => it.identity === 'partner');
  await anna.receives('screen', { frames: 3 });
  await shot(anna, 'p2p-screen');
  await bert.click('share-screen');
  await until('no screen', async () => (await anna.see('screen-tile')).length === 0);
  await anna.receives('camera');
  assert.equal(anna.descriptions(), before, 'nothing was negotiated');
});

test('another camera takes the place of the first', async () => {
  await anna.click('devices');
  // The list is filled once the browser has told its devices.
  const listed = () => anna.page.$$eval('[data-testid="device-videoinput"] option', (options) => options.map((it) => it.value).filter(Boolean));
  const cameras = await until('two cameras to choose from', async () => {
    const ids = await listed();
    return ids.length >= 2 && ids;
  });
  const used = () => anna.page.evaluate(() => window.konsil.p2p.activeDevice('videoinput'));
  const first = await used();
  const other = cameras.find((id) => id !== first);
  // Chromium's second fake camera feeds no encoder, so what arrives is looked at when the first one is back.
  for (const camera of [other, first]) {
    await anna.at('device-videoinput').selectOption(camera);
    await until('the chosen camera', async () => (await used()) === camera);
  }
  await anna.page.evaluate(() => document.querySelector('dialog').close());
  await bert.receives('camera');
});

test('a camera that cannot be opened leaves the one before', async () => {
  const used = () => anna.page.evaluate(() => window.konsil.p2p.activeDevice('videoinput'));
  const before = await used();
  await anna.page.evaluate(() => {
    const { mediaDevices } = navigator;
    const open = mediaDevices.getUserMedia.bind(mediaDevices);
    mediaDevices.getUserMedia = async () => {
      mediaDevices.getUserMedia = open;
      throw new DOMException('', 'NotReadableError');
    };
  });
  const failed = await anna.page.evaluate(() => window.konsil.p2p.switchDevice('videoinput', 'another').catch(({ name }) => name));
  assert.equal(failed, 'NotReadableError');
  assert.equal(await used(), before);
  await bert.receives('camera');
});

test('a lost connection to the server comes back while the call goes on', async () => {
  const session = await anna.session();
  await anna.page.evaluate(() => window.konsil.p2p.signal.socket.close());
  await until('the connection to come back', async () => anna.seen.sockets.length >= 2 && (await anna.standing()) === 'connected');
  assert.equal(await anna.session(), session, 'the session is the same');
  await bert.receives('camera');
  await anna.receives('microphone');
});

test('a new way is found in mid-call', async () => {
  const ufrag = () => anna.page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(window.konsil.p2p.connection.pc.localDescription.sdp)[1]);
  const told = () => bert.words().filter((text) => text.startsWith('{"type":"peer"')).length;
  const [before, code, news] = [await ufrag(), await anna.code(), told()];
  await anna.page.evaluate(() => window.konsil.p2p.restart());
  await until('new ICE credentials', async () => (await ufrag()) !== before);
  // The other one gathers as well, and what its old credentials opened fills their quota.
  await until('fresh credentials', () => told() === news + 1);
  const names = await bert.page.evaluate(() => {
    const { news, connection } = window.konsil.p2p;
    return [news.ice_servers, connection.pc.getConfiguration().iceServers].map(([{ username }]) => username);
  });
  assert.equal(names[0], names[1]);
  for (const one of [anna, bert]) {
    await until('a connection', async () => (await one.standing()) === 'connected');
    assert.deepEqual(await one.pair(), { local: 'relay', remote: 'relay' });
    for (const slot of ['camera', 'microphone']) await one.receives(slot);
    assert.equal(await one.code(), code, 'the certificates are the same');
  }
  // Both at once: one gives way.
  await Promise.all([anna, bert].map((one) => one.page.evaluate(() => window.konsil.p2p.restart())));
  for (const one of [anna, bert]) {
    await until('quiet', () => one.page.evaluate(() => window.konsil.p2p.connection.pc.signalingState === 'stable'));
    await one.receives('camera');
  }
});

test('a reload comes back into the same place', async () => {
  for (const [one, other] of [
    [bert, anna],
    [anna, bert],
  ]) {
    const { identity } = one;
    await one.page.reload();
    await one.join();
    assert.equal(one.identity, identity, 'the same guest');
    await anna.meets(bert);
    await bert.meets(anna);
    assert.equal(await one.code(), await other.code());
  }
});

test('who leaves is gone, and the relay with it', async () => {
  const credentials = await bert.credentials();
  await bert.click('leave');
  await bert.sees('a goodbye', 'goodbye', (it) => it.reason === 'left');
  await until('an empty place', async () => (await anna.see('tile')).length === 1);
  await until('no relayed address of his', async () => (await bert.allocates(credentials)) === 0);
  await bert.click('rejoin');
  await bert.join({ fresh: false });
  await anna.meets(bert);
});

test('removing ends it for one, deleting the room for both', async () => {
  const removed = await server.call('DELETE', `/v1/rooms/${ROOM}/participants/${bert.identity}`);
  assert.equal(removed.status, 204);
  await bert.sees('a goodbye', 'goodbye', (it) => it.reason === 'removed');
  const deleted = await server.call('DELETE', `/v1/rooms/${ROOM}`);
  assert.equal(deleted.status, 204);
  await anna.sees('a goodbye', 'goodbye', (it) => it.reason === 'closed');
  await until('no relayed address', async () => (await server.metric('konsil_turn_allocations')) === 0);
});

test('without hide_addresses the way is direct', () =>
  together({ hide_addresses: false }, async (nora, otto) => {
    for (const one of [nora, otto]) {
      const { local, remote } = await one.pair();
      assert.ok(local !== 'relay' && remote !== 'relay', `${local} to ${remote}`);
    }
  }));

/** Runs in a page before its own code: every connection has only ICE servers as `rewrite` leaves them. */
const through = (rewrite) => (page) =>
  page.addInitScript((code) => {
    const change = (0, eval)(code);
    const only = (config) => ({ ...config, ...change(config) });
    window.RTCPeerConnection = class extends window.RTCPeerConnection {
      constructor(config) {
        super(only(config));
      }
      setConfiguration(config) {
        super.setConfiguration(only(config));
      }
    };
  }, rewrite);

const withUrls = (expression) => through(`({ iceServers }) => ({ iceServers: iceServers?.map((it) => ({ ...it, urls: ${expression} })) })`);

test('a browser that tells all its addresses is relayed without them', () =>
  together(
    {},
    async (nora, otto) => {
      for (const one of [nora, otto]) {
        assert.ok(one.words().some((text) => / typ host/.test(text)), 'it tells its address');
        one.learnsNoAddress();
        assert.deepEqual(await one.pair(), { local: 'relay', remote: 'relay' });
      }
    },
    { prepare: through("() => ({ iceTransportPolicy: 'all' })") },
  ));

for (const [way, protocol] of [
  ['turns:', 'tls'],
  ['turn:.*tcp', 'tcp'],
]) {
  test(`it goes by ${way} alone`, () =>
    together(
      {},
      async (nora, otto) => {
        for (const one of [nora, otto]) assert.deepEqual(await one.pair(), { local: 'relay', remote: 'relay' });
        assert.equal(await nora.relayProtocol(), protocol);
      },
      { prepare: withUrls(`it.urls.filter((url) => /^${way}/.test(url))`) },
    ));
}

test('a way that breaks is mended without a hand', async () => {
  const [udp] = server.run.udp;
  const wire = await Wire.to(Number(udp.slice(udp.lastIndexOf(':') + 1)));
  const act = async (nora, otto) => {
    const ufrag = () => otto.page.evaluate(() => /a=ice-ufrag:(\S+)/.exec(window.konsil.p2p.connection.pc.localDescription.sdp)[1]);
    const [before, code] = [await ufrag(), await otto.code()];
    wire.cut();
    for (const one of [nora, otto]) await one.sees('that the connection is lost', 'status', (it) => it.state === 'reconnecting');
    await until('a new way to be looked for', async () => (await ufrag()) !== before);
    wire.mend();
    for (const one of [nora, otto]) {
      await until('a connection', async () => (await one.standing()) === 'connected', { state: () => one.state() });
      await one.receives('camera');
    }
    assert.equal(await otto.code(), code);
  };
  try {
    await together({}, act, { prepare: withUrls(`['turn:127.0.0.1:${wire.port}?transport=udp']`) });
  } finally {
    wire.close();
  }
});

/** Links of a new room, each with a secret of the link. */
async function linksWith(keys) {
  const id = `room-${Math.random().toString(36).slice(2)}`;
  await make({ id, mode: 'p2p' });
  const roles = ['host', 'guest'];
  return Promise.all(roles.map(async (role, at) => `${await link(id, role)}&k=${Buffer.alloc(16, keys[at]).toString('base64url')}`));
}

test('a secret of the link vouches for the connection', async () => {
  const [host, guest] = await linksWith([7, 7]);
  const two = [await visitor('Nora Nachtigall'), await visitor('Otto Ortolan')];
  await two[0].enter(host);
  await two[1].enter(guest);
  await two[0].meets(two[1]);
  await two[1].meets(two[0]);
  assert.equal(await two[0].code(), await two[1].code());
  for (const one of two) assert.equal(await one.page.evaluate(() => window.konsil.p2p.vouching.confirmed), true);
  for (const one of two) await one.page.context().close();
});

test('another secret ends the call before anything was sent', async () => {
  const [host, guest] = await linksWith([7, 8]);
  const two = [await visitor('Nora Nachtigall'), await visitor('Otto Ortolan')];
  for (const one of two) {
    await one.page.addInitScript(() => {
      window.given = 0;
      const { replaceTrack } = RTCRtpSender.prototype;
      RTCRtpSender.prototype.replaceTrack = function (track) {
        window.given += track ? 1 : 0;
        return replaceTrack.call(this, track);
      };
      const { addTransceiver } = RTCPeerConnection.prototype;
      RTCPeerConnection.prototype.addTransceiver = function (track, init) {
        window.given += typeof track === 'string' ? 0 : 1;
        return addTransceiver.call(this, track, init);
      };
    });
  }
  await two[0].enter(host);
  await two[1].page.goto(guest);
  await two[1].sees('the microphone on', 'setup-mic', (it) => it.on === 'true');
  await two[1].at('name-input').fill(two[1].name);
  await two[1].click('join');
  await Promise.any(two.map((one) => one.sees('the end', 'goodbye', (it) => it.reason === 'insecure')));
  for (const one of two) {
    assert.equal(await one.page.evaluate(() => window.given), 0);
    await one.page.context().close();
  }
});
