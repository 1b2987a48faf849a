// What tokens and rooms forbid, a real client cannot do, even one that does not forbid it itself.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stage } from './harness/stage.mjs';
import { until } from './harness/until.mjs';

const it = stage();
const { scene } = it;
const quiet = { audio: false, video: false };

const NOT_ALLOWED = '2';

/** Publishes without asking the client whether the token lets it, and sees the server refuse. */
async function insist(person, what) {
  await person.do((room, kind) => {
    const me = room.localParticipant;
    me.hasPermissionsToPublish = () => true;
    // livekit-client learns nothing from the refusal and gives up ten seconds later.
    me[kind](true).catch(() => undefined);
  }, what);
  await person.told('signalRequestResponse', NOT_ALLOWED);
}

for (const layout of ['single', 'dual']) {
  test(`${layout}: without canPublish nothing is published`, scene(async ({ join, server }) => {
    const room = `no-publish-${layout}`;
    const anna = await join(room, 'anna', { layout });
    const token = server.join(room, 'bert', { canPublish: false });
    const bert = await join(room, 'bert', { layout, token, ...quiet });
    await bert.hears(['anna camera', 'anna microphone']);
    await insist(bert, 'setCameraEnabled');
    assert.equal(await anna.do((it) => it.remoteParticipants.get('bert').trackPublications.size), 0);
    await bert.hears(['anna camera', 'anna microphone']);
  }));

  test(`${layout}: without canSubscribe nothing arrives`, scene(async ({ join, server }) => {
    const room = `no-subscribe-${layout}`;
    const anna = await join(room, 'anna', { layout });
    const bert = await join(room, 'bert', { layout, ...quiet });
    const token = server.join(room, 'cleo', { canSubscribe: false });
    const cleo = await join(room, 'cleo', { layout, token });
    await bert.hears(['anna camera', 'anna microphone', 'cleo camera', 'cleo microphone']);
    await anna.say('words', { reliable: true });
    await until('words at bert', async () => (await bert.data()).length > 0);
    assert.equal(await cleo.packetsIn(), 0);
    assert.deepEqual((await cleo.received()).filter((one) => one.id), []);
    assert.deepEqual(await cleo.data(), []);
  }));
}

test('canPublishSources names what may be published', scene(async ({ join, server }) => {
  const room = 'sources';
  const token = server.join(room, 'anna', { canPublishSources: ['microphone'] });
  const anna = await join(room, 'anna', { token, ...quiet });
  const bert = await join(room, 'bert', quiet);
  await anna.do((it) => it.localParticipant.setMicrophoneEnabled(true));
  await bert.hears(['anna microphone']);
  await insist(anna, 'setCameraEnabled');
  await bert.hears(['anna microphone']);
  assert.deepEqual((await bert.received()).map((one) => one.source), ['microphone']);
}));

test('without canPublishData no words get through', scene(async ({ join, server }) => {
  const room = 'no-data';
  const token = server.join(room, 'anna', { canPublishData: false });
  const anna = await join(room, 'anna', { token, ...quiet });
  const bert = await join(room, 'bert', quiet);
  const cleo = await join(room, 'cleo', quiet);
  for (const reliable of [true, false]) await anna.say('forbidden', { reliable }).catch(() => undefined);
  const refused = () => it.server.metric('konsil_dropped_datagrams_total{reason="data grant"}');
  await until('both messages to be dropped', async () => (await refused()) >= 2);
  await cleo.say('allowed', { reliable: true });
  await until('words at bert', async () => (await bert.data()).length > 0);
  assert.deepEqual((await bert.data()).map((one) => one.text), ['allowed']);
}));

test('a sender cannot call itself somebody else', scene(async ({ join }) => {
  const anna = await join('forged', 'anna', quiet);
  const bert = await join('forged', 'bert', quiet);
  await anna.say('first, so that the channel is open', { reliable: true });
  await until('the first words', async () => (await bert.data()).length === 1);
  const field = (number, bytes) => [number * 8 + 2, bytes.length, ...bytes];
  const words = (text) => [...Buffer.from(text)];
  // DataPacket with user (2) and participant_identity (4); UserPacket with payload (2) and participant_identity (5).
  const user = [...field(2, words('I am the doctor')), ...field(5, words('doctor'))];
  const packet = [...field(2, user), ...field(4, words('doctor'))];
  await anna.do((room, bytes) => {
    const { pcManager } = room.engine;
    const channel = room.engine.dataChannelForKind(0) ?? pcManager.publisher;
    channel.send(new Uint8Array(bytes));
  }, packet);
  await until('the forged words', async () => (await bert.data()).length === 2);
  const [, forged] = await bert.data();
  assert.deepEqual([forged.text, forged.from], ['I am the doctor', 'anna']);
}));

test('a hidden participant sees and is not seen', scene(async ({ join, server }) => {
  const room = 'hidden';
  const anna = await join(room, 'anna');
  const token = server.join(room, 'ghost', { hidden: true, canPublish: false });
  const ghost = await join(room, 'ghost', { token, ...quiet });
  const bert = await join(room, 'bert');
  await ghost.hears(['anna camera', 'bert camera']);
  await anna.hears(['bert camera']);
  for (const person of [anna, bert]) {
    assert.ok(!(await person.do((it) => [...it.remoteParticipants.keys()])).includes('ghost'));
    assert.ok(!JSON.stringify(await person.events()).includes('ghost'));
  }
}));

test('tokens that are wrong, late or for nothing do not get in', scene(async ({ open, server }) => {
  const anna = await open('anna');
  const good = server.join('doors', 'anna');
  const past = Math.floor(Date.now() / 1000) - 600;
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url');
  const bad = {
    'changed signature': `${good.slice(0, -4)}AAAA`,
    expired: server.grant('anna', { roomJoin: true, room: 'doors' }, { exp: past }),
    unsigned: `${none}.${good.split('.')[1]}.`,
    'without roomJoin': server.grant('anna', { room: 'doors' }),
  };
  for (const layout of ['single', 'dual']) {
    for (const [what, token] of Object.entries(bad)) {
      const answer = await anna.page.evaluate(
        (how) => window.enter(how).then(() => 'let in', (error) => `${error.name} ${error.status}`),
        { url: server.signal, token, layout },
      );
      assert.match(answer, /^ConnectionError 40[13]$/, `${layout}, ${what}`);
    }
  }
}));

test('a room that requires encryption refuses clear tracks and takes sealed ones', scene(async ({ join, server }) => {
  const room = 'sealed';
  const made = await server.call('POST', '/v1/rooms', { body: { id: room, mode: 'sfu', max_participants: 3 } });
  assert.equal(made.status, 201, made.text);
  const anna = await join(room, 'anna', quiet);
  await insist(anna, 'setCameraEnabled');
  const bert = await join(room, 'bert', { key: 'the key' });
  const cleo = await join(room, 'cleo', { key: 'the key', ...quiet });
  await cleo.hears(['bert camera', 'bert microphone']);
  assert.deepEqual((await cleo.received()).filter((one) => one.from === 'anna'), []);
  const dora = await it.plain.open('dora');
  const full = await dora.enter({ url: server.signal, token: server.join(room, 'dora') }).then(() => 'let in', (e) => e.message);
  assert.doesNotMatch(full, /^let in/, 'a fourth person in a room of three');
  await dora.close();
}));

test('a publisher chooses who may receive, a subscriber what to receive', scene(async ({ join }) => {
  const room = 'choices';
  const anna = await join(room, 'anna');
  const bert = await join(room, 'bert', quiet);
  const cleo = await join(room, 'cleo', quiet);
  await bert.hears(['anna camera', 'anna microphone']);
  await cleo.hears(['anna camera', 'anna microphone']);
  await anna.do((it) => it.localParticipant.setTrackSubscriptionPermissions(false, [{ participantIdentity: 'bert', allowAll: true }]));
  await cleo.told('trackSubscriptionPermissionChanged');
  await cleo.silent(['anna camera', 'anna microphone'], { ear: bert, wanted: ['anna camera'] });
  await anna.do((it) => it.localParticipant.setTrackSubscriptionPermissions(true));
  await cleo.hears(['anna camera', 'anna microphone']);
  // Track by track.
  const microphone = await anna.do((it) => it.localParticipant.getTrackPublication('microphone').trackSid);
  await anna.do(
    (it, sid) =>
      it.localParticipant.setTrackSubscriptionPermissions(false, [
        { participantIdentity: 'bert', allowAll: true },
        { participantIdentity: 'cleo', allowedTrackSids: [sid] },
      ]),
    microphone,
  );
  await cleo.silent(['anna camera'], { ear: bert, wanted: ['anna camera'] });
  await cleo.hears(['anna microphone']);
  await anna.do((it) => it.localParticipant.setTrackSubscriptionPermissions(true));
  await cleo.hears(['anna camera', 'anna microphone']);

  const camera = (act) => cleo.do((it, how) => it.remoteParticipants.get('anna').getTrackPublication('camera')[how[0]](how[1]), act);
  await camera(['setSubscribed', false]);
  await cleo.told('trackUnsubscribed');
  await cleo.silent(['anna camera'], { ear: cleo, wanted: ['anna microphone'] });
  await camera(['setSubscribed', true]);
  await cleo.hears(['anna camera']);
  await camera(['setEnabled', false]);
  await cleo.silent(['anna camera'], { ear: bert, wanted: ['anna camera'] });
  await camera(['setEnabled', true]);
  await cleo.hears(['anna camera']);

  const dora = await join(room, 'dora', { ...quiet, autoSubscribe: false });
  await until('publications at dora', () => dora.do((it) => it.remoteParticipants.get('anna')?.trackPublications.size === 2));
  await dora.silent(['anna camera', 'anna microphone'], { ear: bert, wanted: ['anna camera'] });
  assert.equal(await dora.packetsIn(), 0);
  await dora.do((it) => it.remoteParticipants.get('anna').getTrackPublication('microphone').setSubscribed(true));
  await dora.hears(['anna microphone']);
}));

test('names and attributes change only with the right to', scene(async ({ join, server }) => {
  const room = 'attributes';
  const anna = await join(room, 'anna', { ...quiet, token: server.join(room, 'anna', { canUpdateOwnMetadata: true }) });
  const bert = await join(room, 'bert', { ...quiet, token: server.join(room, 'bert', { canUpdateOwnMetadata: false }) });
  await anna.do((it) => it.localParticipant.setAttributes({ hand: 'raised' }));
  await bert.told('participantAttributesChanged', 'anna');
  assert.equal(await bert.do((it) => it.remoteParticipants.get('anna').attributes.hand), 'raised');
  const refused = await bert.do((it) => it.localParticipant.setName('the doctor').then(() => 'changed', (error) => error.message));
  assert.notEqual(refused, 'changed');
  assert.equal(await anna.do((it) => it.remoteParticipants.get('bert').name ?? ''), '');
}));
