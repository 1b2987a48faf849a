// Data tracks between unmodified clients: frames of application data, which may lose some.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stage } from './harness/stage.mjs';
import { until } from './harness/until.mjs';

const it = stage();
const { scene } = it;
const quiet = { audio: false, video: false };
const ALL = { canSubscribe: true, canPublish: true, canPublishData: true };

/** Publishes a data track; `told` is why it could not be. */
const publish = (person, name) =>
  person.do(async (room, called) => {
    window.tracks ??= {};
    try {
      window.tracks[called] = await room.localParticipant.publishDataTrack({ name: called });
    } catch (error) {
      return error.reasonName ?? error.message;
    }
    return 'published';
  }, name);

/** Pushes frames of `bytes` bytes, each filled with its number. */
const push = (person, name, [from, count, bytes = 4]) =>
  person.do(async (_room, [called, first, many, size]) => {
    for (let number = first; number < first + many; number++) {
      await window.tracks[called].tryPush({ payload: new Uint8Array(size).fill(number) }).catch(() => undefined);
    }
  }, [name, from, count, bytes]);

/** Subscribes to somebody's data track and keeps what comes. */
const listen = (person, from, name) =>
  person.do(async (room, [identity, called]) => {
    const track = await room.remoteParticipants.get(identity).dataTracks.getDeferred(called);
    const frames = ((window.frames ??= {})[`${identity} ${called}`] = []);
    const stream = await track.subscribe();
    (async () => {
      for await (const { payload } of stream) {
        const whole = payload.every((byte) => byte === payload[0]);
        frames.push({ number: payload[0], bytes: payload.length, whole });
      }
      frames.push('over');
    })();
  }, [from, name]);

const frames = (person, from, name) => person.do((_room, key) => window.frames[key], `${from} ${name}`);

/** Pushes frames until one of them has come through, for each may be lost. */
async function flows(sender, name, receiver, bytes = 4) {
  const before = (await frames(receiver, sender.identity, name)).length;
  let number = 0;
  await until(`${name} to reach ${receiver.identity}`, async () => {
    await push(sender, name, [number++ % 256, 1, bytes]);
    return (await frames(receiver, sender.identity, name)).length > before;
  });
}

for (const layout of ['single', 'dual']) {
  test(`${layout}: frames reach those who subscribe`, scene(async ({ join }) => {
    const room = `frames-${layout}`;
    const anna = await join(room, 'anna', { layout, ...quiet });
    const bert = await join(room, 'bert', { layout, ...quiet });
    const cleo = await join(room, 'cleo', { layout, ...quiet });
    for (const name of ['pulse', 'pictures']) assert.equal(await publish(anna, name), 'published');
    assert.equal(await publish(bert, 'pulse'), 'published');
    await cleo.told('dataTrackPublished');
    for (const [who, whose, name] of [[bert, 'anna', 'pulse'], [cleo, 'anna', 'pulse'], [cleo, 'bert', 'pulse'], [cleo, 'anna', 'pictures']]) {
      await listen(who, whose, name);
    }
    await flows(anna, 'pulse', bert);
    await flows(anna, 'pulse', cleo);
    await flows(bert, 'pulse', cleo);
    // Longer than one packet.
    await flows(anna, 'pictures', cleo, 40_000);
    const [picture] = await frames(cleo, 'anna', 'pictures');
    assert.deepEqual([picture.bytes, picture.whole], [40_000, true]);
    assert.ok((await frames(cleo, 'bert', 'pulse')).every((frame) => frame.bytes === 4));

    await anna.do((there) => there.simulateScenario('signal-reconnect'));
    await anna.told('resumed');
    await flows(anna, 'pulse', bert);
    await anna.do(() => window.tracks.pulse.unpublish());
    await until('the end at bert', async () => (await frames(bert, 'anna', 'pulse')).at(-1) === 'over');
    await flows(anna, 'pictures', cleo);
  }));
}

test('data tracks come back after a full reconnect of either side', scene(async ({ join }) => {
  const anna = await join('again', 'anna', quiet);
  const bert = await join('again', 'bert', quiet);
  await publish(anna, 'pulse');
  await listen(bert, 'anna', 'pulse');
  await flows(anna, 'pulse', bert);
  for (const person of [bert, anna]) {
    await person.do((there) => there.simulateScenario('full-reconnect'));
    await person.told('restarted');
    // To livekit-client the others leave when it joins anew, and who joins anew is somebody else: its subscriptions end.
    await listen(bert, 'anna', 'pulse');
    await flows(anna, 'pulse', bert);
  }
}));

test('data tracks need the right to send data, and keep it', scene(async ({ join, server }) => {
  const room = 'data-rights';
  const permit = (identity, permission) =>
    server.call('POST', '/twirp/livekit.RoomService/UpdateParticipant', { body: { room, identity, permission } });
  const mute = await join(room, 'mute', { ...quiet, token: server.join(room, 'mute', { canPublishData: false }) });
  assert.equal(await publish(mute, 'pulse'), 'NotAllowed');
  const anna = await join(room, 'anna', quiet);
  assert.equal(await publish(anna, 'pulse'), 'published');
  assert.equal(await publish(anna, 'pulse'), 'DuplicateName');
  await listen(mute, 'anna', 'pulse');
  await flows(anna, 'pulse', mute);
  await permit('anna', { ...ALL, canPublishData: false });
  await until('the end at mute', async () => (await frames(mute, 'anna', 'pulse')).at(-1) === 'over');
  await until('the end at anna', () => anna.do(() => !window.tracks.pulse.isPublished()));
  await permit('anna', ALL);
  assert.equal(await publish(anna, 'again'), 'published');
  await listen(mute, 'anna', 'again');
  await flows(anna, 'again', mute);
}));

test('sealed frames pass a room that requires encryption, others do not', scene(async ({ join, server }) => {
  const room = 'sealed-data';
  const made = await server.call('POST', '/v1/rooms', { body: { id: room, mode: 'sfu' } });
  assert.equal(made.status, 201, made.text);
  const anna = await join(room, 'anna', { ...quiet, key: 'the key' });
  const bert = await join(room, 'bert', { ...quiet, key: 'the key' });
  const cleo = await join(room, 'cleo', quiet);
  assert.equal(await publish(cleo, 'pulse'), 'NotAllowed');
  assert.equal(await publish(anna, 'pulse'), 'published');
  await listen(bert, 'anna', 'pulse');
  await flows(anna, 'pulse', bert, 20_000);
  const [frame] = await frames(bert, 'anna', 'pulse');
  assert.deepEqual([frame.bytes, frame.whole], [20_000, true]);
  const before = (await frames(bert, 'anna', 'pulse')).length;
  // The head of a packet of track 1, a whole frame, without a word of a seal.
  const clear = [0x18, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 7, 7];
  await anna.do((there, bytes) => there.engine.dataChannels.dataTrack.channelHandle.send(new Uint8Array(bytes)), clear);
  const refused = () => server.metric('konsil_dropped_datagrams_total{reason="data unsealed"}');
  await until('the clear packet to be dropped', async () => (await refused()) === 1);
  assert.equal((await frames(bert, 'anna', 'pulse')).length, before);
}));
