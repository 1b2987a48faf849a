// What moderators order by RoomService, real clients see at once, and keep when they come back.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stage } from './harness/stage.mjs';
import { until } from './harness/until.mjs';

const it = stage();
const { scene } = it;
const quiet = { audio: false, video: false };
const ALL = { canSubscribe: true, canPublish: true, canPublishData: true };

/** Calls a method of RoomService and returns what it answers. */
async function order(method, body, status = 200) {
  const answer = await it.server.call('POST', `/twirp/livekit.RoomService/${method}`, { body });
  assert.equal(answer.status, status, `${method}: ${answer.text}`);
  return answer.json();
}

const base64 = (text) => Buffer.from(text).toString('base64');

/** The token that a page would come back with, and what it says. */
async function token(person) {
  const text = await person.do((room) => room.engine.token);
  it.server.secrets.add(text);
  return { text, claims: JSON.parse(Buffer.from(text.split('.')[1], 'base64url')) };
}

for (const layout of ['single', 'dual']) {
  test(`${layout}: words of the server reach those they are for`, scene(async ({ join }) => {
    const room = `words-${layout}`;
    const anna = await join(room, 'anna', { layout, ...quiet });
    const bert = await join(room, 'bert', { layout, ...quiet });
    const heard = async (person) => (await person.data()).map((one) => one.text);
    // A client that has never sent has no channel yet; LiveKit's clients open theirs when they join.
    await until('the first words', async () => {
      await order('SendData', { room, data: base64('first') });
      return (await heard(anna)).length > 0 && (await heard(bert)).length > 0;
    });
    const nonce = base64('sixteen letters.');
    for (let turn = 0; turn < 2; turn++) await order('SendData', { room, data: base64('once'), nonce, topic: 'news' });
    await order('SendData', { room, data: base64('for bert'), destinationIdentities: ['bert'] });
    const { sid } = await order('GetParticipant', { room, identity: 'anna' });
    await order('SendData', { room, data: base64('for anna'), destinationSids: [sid] });
    await order('SendData', { room, data: base64('last') });
    await until('the last words', async () => (await heard(anna)).includes('last') && (await heard(bert)).includes('last'));
    const behind = (all) => all.filter((text) => text !== 'first');
    assert.deepEqual(behind(await heard(anna)), ['once', 'for anna', 'last']);
    assert.deepEqual(behind(await heard(bert)), ['once', 'for bert', 'last']);
    const news = (await bert.data()).find((one) => one.text === 'once');
    assert.deepEqual([news.topic, news.reliable, news.from], ['news', true, undefined]);
    await until('words that may be lost', async () => {
      await order('SendData', { room, data: base64('perhaps'), kind: 'LOSSY' });
      return (await bert.data()).some((one) => one.text === 'perhaps' && !one.reliable);
    });
  }));

  test(`${layout}: rights that are taken away end what stands`, scene(async ({ join }) => {
    const room = `rights-${layout}`;
    const anna = await join(room, 'anna', { layout });
    const bert = await join(room, 'bert', { layout });
    const both = ['anna camera', 'anna microphone'];
    await bert.hears(both);
    await anna.hears(['bert camera']);
    const permit = (permission) => order('UpdateParticipant', { room, identity: 'anna', permission });

    await permit({ ...ALL, canSubscribe: false });
    await anna.told('trackUnsubscribed', 'bert');
    await anna.silent(['bert camera', 'bert microphone'], { ear: bert, wanted: ['anna camera'] });
    await permit({ ...ALL, canPublish: false });
    await bert.told('trackUnpublished', 'anna');
    await until('nothing of anna at bert', () => bert.do((there) => there.remoteParticipants.get('anna').trackPublications.size === 0));
    await until('anna to have nothing published', () => anna.do((there) => there.localParticipant.trackPublications.size === 0));
    assert.equal(await anna.do((there) => there.localParticipant.permissions.canPublish), false);
    await anna.hears(['bert camera', 'bert microphone']);
    await anna.do((there) => {
      there.localParticipant.hasPermissionsToPublish = () => true;
      there.localParticipant.setCameraEnabled(true).catch(() => undefined);
    });
    await anna.told('signalRequestResponse', '2');
    await permit(ALL);
    await anna.do((there) => there.localParticipant.setMicrophoneEnabled(true));
    await bert.hears(['anna microphone']);
  }));
}

test('without the right to data no more words get through', scene(async ({ join }) => {
  const room = 'no-more-data';
  const anna = await join(room, 'anna', quiet);
  const bert = await join(room, 'bert', quiet);
  await anna.say('allowed', { reliable: true });
  await until('words at bert', async () => (await bert.data()).length === 1);
  await order('UpdateParticipant', { room, identity: 'anna', permission: { ...ALL, canPublishData: false } });
  const refused = () => it.server.metric('konsil_dropped_datagrams_total{reason="data grant"}');
  await anna.say('forbidden', { reliable: true }).catch(() => undefined);
  await until('the message to be dropped', async () => (await refused()) > 0);
  assert.deepEqual((await bert.data()).map((one) => one.text), ['allowed']);
}));

test('a moderator subscribes and unsubscribes', scene(async ({ join }) => {
  const room = 'subscriptions';
  await join(room, 'anna');
  const bert = await join(room, 'bert', quiet);
  const cleo = await join(room, 'cleo', { ...quiet, autoSubscribe: false });
  await bert.hears(['anna camera', 'anna microphone']);
  const { tracks } = await order('GetParticipant', { room, identity: 'anna' });
  const { sid } = tracks.find((track) => track.source === 'CAMERA');
  const subscribe = (identity, yes) => order('UpdateSubscriptions', { room, identity, trackSids: [sid], subscribe: yes });
  await subscribe('bert', false);
  await bert.silent(['anna camera'], { ear: bert, wanted: ['anna microphone'] });
  await subscribe('cleo', true);
  await cleo.hears(['anna camera']);
  await subscribe('bert', true);
  await bert.hears(['anna camera']);
  await order('UpdateSubscriptions', { room, identity: 'nobody', trackSids: [sid] }, 404);
}));

test('descriptions of people and rooms are told to all', scene(async ({ join }) => {
  const room = 'descriptions';
  const anna = await join(room, 'anna', quiet);
  const bert = await join(room, 'bert', quiet);
  const told = await order('UpdateParticipant', { room, identity: 'anna', name: 'Dr. A', metadata: 'about', attributes: { hand: 'up' } });
  assert.deepEqual([told.name, told.metadata, told.attributes.hand], ['Dr. A', 'about', 'up']);
  for (const person of [anna, bert]) {
    await person.told('participantMetadataChanged');
    const seen = await person.do((there) => {
      const one = there.remoteParticipants.get('anna') ?? there.localParticipant;
      return [one.name, one.metadata, one.attributes.hand];
    });
    assert.deepEqual(seen, ['Dr. A', 'about', 'up']);
  }
  assert.equal((await order('UpdateRoomMetadata', { room, metadata: 'ward 3' })).metadata, 'ward 3');
  for (const person of [anna, bert]) await person.told('roomMetadataChanged', 'ward 3');
  await order('UpdateParticipant', { room, identity: 'anna', name: 'x'.repeat(257) }, 400);
  await order('UpdateParticipant', { room, identity: 'anna', attributes: { 'konsil.role': 'host' } }, 400);
  await order('UpdateRoomMetadata', { room, metadata: 'x'.repeat(65_537) }, 400);
}));

for (const layout of ['single', 'dual']) {
  test(`${layout}: a client comes back after its first token has ended`, scene(async ({ join, server }) => {
    const room = `late-${layout}`;
    // Its end is past, but within what clocks may differ by.
    const exp = Math.floor(Date.now() / 1000) - 20;
    const first = server.grant('anna', { roomJoin: true, room }, { exp });
    const anna = await join(room, 'anna', { layout, token: first });
    const bert = await join(room, 'bert', { layout, ...quiet });
    await until('a fresh token', async () => (await token(anna)).text !== first);
    await order('UpdateParticipant', { room, identity: 'anna', name: 'Dr. A', permission: { ...ALL, canPublishData: false } });
    await until('a token with the name', async () => (await token(anna)).claims.name === 'Dr. A');
    const { claims } = await token(anna);
    assert.ok(claims.exp - Date.now() / 1000 > 500, 'it lasts for minutes');
    assert.deepEqual([claims.sub, claims.video.room, claims.video.canPublish, claims.video.canPublishData], ['anna', room, true, false]);
    await bert.hears(['anna camera']);
    const validate = (text) => server.call('GET', '/rtc/validate', { token: text });
    await until('the first token to be refused', async () => (await validate(first)).status === 401);
    assert.equal((await validate((await token(anna)).text)).status, 200);

    await anna.do((there) => there.simulateScenario('signal-reconnect'));
    await anna.told('resumed');
    await anna.forget();
    await anna.do((there) => there.simulateScenario('full-reconnect'));
    await anna.told('restarted');
    const now = await anna.do((there) => [there.localParticipant.name, there.localParticipant.permissions.canPublishData]);
    assert.deepEqual(now, ['Dr. A', false]);
    await bert.hears(['anna camera']);
  }));
}
