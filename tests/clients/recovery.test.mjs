// Calls outlive lost connections; who must go is gone.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Plain } from './harness/plain.mjs';
import { Server } from './harness/server.mjs';
import { stage } from './harness/stage.mjs';
import { until } from './harness/until.mjs';

const { scene } = stage();
const quiet = { audio: false, video: false };
const both = ['camera', 'microphone'];

async function talk(anna, bert) {
  await Promise.all([anna.hears(both.map((one) => `bert ${one}`)), bert.hears(both.map((one) => `anna ${one}`))]);
}

async function pair({ join }, room, how) {
  const anna = await join(room, 'anna', how);
  const bert = await join(room, 'bert', how);
  await talk(anna, bert);
  await anna.forget();
  await bert.forget();
  return [anna, bert];
}

const sid = (person) => person.do((it) => it.localParticipant.sid);

/** Ways in which a client loses its signalling and comes back with the same session. */
const resumes = {
  'its WebSocket closes': (it) => it.engine.client.ws.close(),
  'its signalling reconnects': (it) => it.simulateScenario('signal-reconnect'),
  'the server hangs up': (it) => it.simulateScenario('disconnect-signal-on-resume'),
  'the server asks for it': (it) => it.simulateScenario('migration'),
};

/** Ways to a new session of the same participant. */
const restarts = {
  'the client gives its session up': (it) => it.simulateScenario('full-reconnect'),
  'the server asks for it': (it) => it.simulateScenario('leave-full-reconnect'),
  'its attempt to resume fails': (it) => it.simulateScenario('resume-reconnect'),
};

for (const layout of ['single', 'dual']) {
  for (const [what, act] of Object.entries(resumes)) {
    test(`${layout}: a session is resumed when ${what}`, scene(async (here) => {
      const [anna, bert] = await pair(here, `resume-${layout}-${what}`, { layout });
      const before = await sid(anna);
      await anna.do(act);
      await anna.told('resumed');
      await until('the client to be connected', () => anna.do((it) => it.state === 'connected'));
      await talk(anna, bert);
      assert.equal(await sid(anna), before);
      const left = (await bert.events()).filter((event) => /^participant(Dis)?connected$/i.test(event.name));
      assert.deepEqual(left, [], 'the other must not notice');
      await anna.say('still here', { reliable: true });
      await until('words after the resume', async () => (await bert.data()).some((one) => one.text === 'still here'));
      await anna.do((it) => it.localParticipant.setMicrophoneEnabled(false));
      await bert.told('trackMuted', 'anna');
    }));
  }

  for (const [what, act] of Object.entries(restarts)) {
    test(`${layout}: a participant joins anew when ${what}`, scene(async (here) => {
      const [anna, bert] = await pair(here, `restart-${layout}-${what}`, { layout });
      const before = await sid(anna);
      await anna.do(act);
      await anna.told('restarted');
      await until('the client to be connected', () => anna.do((it) => it.state === 'connected'));
      await talk(anna, bert);
      assert.notEqual(await sid(anna), before);
      assert.equal(await bert.do((it) => it.remoteParticipants.size), 1);
    }));
  }

  test(`${layout}: the same identity joining again replaces the old session`, scene(async (here) => {
    const room = `again-${layout}`;
    const [anna, bert] = await pair(here, room, { layout });
    const again = await here.join(room, 'anna', { layout });
    await anna.told('disconnected', '2');
    await talk(again, bert);
    assert.equal(await bert.do((it) => it.remoteParticipants.size), 1);
    assert.equal(await bert.do((it) => it.remoteParticipants.get('anna').sid), await sid(again));
  }));
}

test('an encrypted call outlives resume and restart', scene(async (here) => {
  const [anna, bert] = await pair(here, 'sealed', { key: 'the key' });
  await anna.do((it) => it.simulateScenario('signal-reconnect'));
  await anna.told('resumed');
  await talk(anna, bert);
  await anna.do((it) => it.simulateScenario('full-reconnect'));
  await anna.told('restarted');
  await talk(anna, bert);
}));

test('what happens while the signalling is away is known after the resume', scene(async (here) => {
  const room = 'meanwhile';
  const [anna, bert] = await pair(here, room);
  const cleo = await here.join(room, 'cleo');
  await anna.told('participantConnected', 'cleo');
  // Nothing gets through until the others are done.
  await anna.do((it) => {
    window.RealWebSocket = window.WebSocket;
    window.WebSocket = class { constructor() { throw new Error('the network is away'); } };
    it.engine.client.ws.close();
  });
  await anna.told('signalReconnecting');
  // Media need no signalling.
  await talk(anna, bert);
  assert.notEqual(await anna.do((it) => it.state), 'connected', 'the signalling is still away');
  await cleo.do((it) => it.disconnect());
  await bert.told('participantDisconnected', 'cleo');
  const dora = await here.join(room, 'dora');
  await bert.hears(['dora camera']);
  await bert.do((it) => it.localParticipant.setMicrophoneEnabled(false));
  await anna.do(() => void (window.WebSocket = window.RealWebSocket));
  await until('anna to be connected', () => anna.do((it) => it.state === 'connected'));
  await anna.hears(['dora camera', 'dora microphone', 'bert camera']);
  await dora.hears(['anna camera', 'anna microphone']);
  await until('bert to be muted', () => anna.do((it) => !it.remoteParticipants.get('bert').isMicrophoneEnabled));
  assert.deepEqual((await anna.do((it) => [...it.remoteParticipants.keys()])).sort(), ['bert', 'dora']);
}));

test('a page that crashes is reaped', scene(async ({ join, server }) => {
  const anna = await join('crash', 'anna');
  const bert = await join('crash', 'bert');
  await bert.hears(['anna camera']);
  await anna.page.goto('chrome://crash').catch(() => undefined);
  await until('the crashed page to be gone', () => bert.do((it) => it.remoteParticipants.size === 0), { within: 50_000 });
  const list = await server.call('GET', '/v1/rooms/crash/participants');
  assert.doesNotMatch(list.text, /anna/);
}));

test('participants are removed by /v1 and by Twirp', scene(async ({ join, server }) => {
  const room = 'removal';
  const anna = await join(room, 'anna', quiet);
  const bert = await join(room, 'bert', quiet);
  const cleo = await join(room, 'cleo', quiet);
  const one = await server.call('DELETE', `/v1/rooms/${room}/participants/anna`);
  assert.equal(one.status, 204, one.text);
  await anna.told('disconnected', '4');
  const other = await twirp(server, 'RemoveParticipant', { room, identity: 'bert' });
  assert.equal(other.status, 200, other.text);
  await bert.told('disconnected', '4');
  for (const gone of ['anna', 'bert']) await cleo.told('participantDisconnected', gone);
  const end = await server.call('DELETE', `/v1/rooms/${room}`);
  assert.equal(end.status, 204, end.text);
  await cleo.told('disconnected', '5');
}));

test('tracks are muted by /v1 and by Twirp', scene(async ({ join, server }) => {
  const room = 'muting';
  const anna = await join(room, 'anna');
  const bert = await join(room, 'bert', quiet);
  await bert.hears(['anna camera', 'anna microphone']);
  const list = await twirp(server, 'ListParticipants', { room });
  const tracks = list.json().participants.find((one) => one.identity === 'anna').tracks;
  const track = (source) => tracks.find((one) => one.source === source).sid;
  const one = await server.call('POST', `/v1/rooms/${room}/participants/anna/mute`, { body: { track: track('MICROPHONE'), muted: true } });
  assert.ok(one.status < 300, one.text);
  await bert.told('trackMuted', 'microphone');
  await bert.silent(['anna microphone'], { ear: bert, wanted: ['anna camera'] });
  const other = await twirp(server, 'MutePublishedTrack', { room, identity: 'anna', track_sid: track('CAMERA'), muted: true });
  assert.equal(other.status, 200, other.text);
  await bert.told('trackMuted', 'camera');
  await anna.do((it) => Promise.all([it.localParticipant.setCameraEnabled(true), it.localParticipant.setMicrophoneEnabled(true)]));
  await bert.hears(['anna camera', 'anna microphone']);
}));

test('who leaves by the server\'s wish is out', scene(async (here) => {
  const [anna, bert] = await pair(here, 'server-leave', {});
  await anna.do((it) => it.simulateScenario('server-leave'));
  await anna.told('disconnected');
  await bert.told('participantDisconnected', 'anna');
}));

test('clients come back after the server was started anew', async () => {
  const server = await Server.start();
  // A browser each: pages of one that open the fake camera again at the same moment get one that never feeds an encoder.
  const browsers = await Promise.all([Plain.start(server), Plain.start(server)]);
  try {
    const anna = await browsers[0].join('update', 'anna', { layout: 'single' });
    const bert = await browsers[1].join('update', 'bert', { layout: 'dual' });
    await talk(anna, bert);
    await server.restart();
    for (const person of [anna, bert]) await person.told('restarted');
    await talk(anna, bert);
  } finally {
    for (const browser of browsers) await browser.stop();
    await server.stop();
  }
});

function twirp(server, method, body) {
  return server.call('POST', `/twirp/livekit.RoomService/${method}`, { body });
}
