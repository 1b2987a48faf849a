// Two pages of plain livekit-client in each layout, with and without end-to-end encryption.

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

for (const layout of ['single', 'dual']) {
  for (const key of [undefined, 'a key that both have']) {
    describe(`${layout} peer connection${layout === 'dual' ? 's' : ''}, ${key ? 'encrypted' : 'clear'}`, () => {
      const room = `call-${layout}-${key ? 'e2ee' : 'clear'}`;
      let anna;
      let bert;

      before(async () => {
        anna = await plain.join(room, 'anna', { layout, key });
        bert = await plain.join(room, 'bert', { layout, key });
      });
      after(async () => {
        await anna?.close();
        await bert?.close();
      });

      test('the layout is the wanted one', async () => {
        const dual = await anna.do((it) => it.engine.pcManager.mode !== undefined && it.engine.pcManager.subscriber !== undefined);
        assert.equal(dual, layout === 'dual');
        const [socket] = anna.seen.sockets;
        assert.match(new URL(socket.url).pathname, layout === 'single' ? /^\/rtc\/v1$/ : /^\/rtc$/);
      });

      test('both see and hear each other', async () => {
        const [atAnna, atBert] = await Promise.all([
          anna.hears(['bert camera', 'bert microphone']),
          bert.hears(['anna camera', 'anna microphone']),
        ]);
        for (const one of [...atAnna, ...atBert]) assert.equal(one.encrypted, key !== undefined, JSON.stringify(one));
      });

      test('mute and unmute are seen and heard by the other', async () => {
        await anna.do((it) => it.localParticipant.setMicrophoneEnabled(false));
        await bert.told('trackMuted', 'anna');
        await bert.silent(['anna microphone'], { ear: bert, wanted: ['anna camera'] });
        await anna.do((it) => it.localParticipant.setMicrophoneEnabled(true));
        await bert.told('trackUnmuted', 'anna');
        await bert.hears(['anna microphone']);
        await bert.do((it) => it.localParticipant.setCameraEnabled(false));
        await anna.told('trackMuted', 'bert');
        await anna.silent(['bert camera'], { ear: bert, wanted: ['anna camera'] });
        await bert.do((it) => it.localParticipant.setCameraEnabled(true));
        await anna.hears(['bert camera', 'bert microphone']);
      });

      test('data go both ways, reliable and lossy, with their sender stamped on', async () => {
        const long = 'x'.repeat(14_000);
        for (const [from, to] of [[anna, bert], [bert, anna]]) {
          await from.say('reliable words', { reliable: true, topic: 'chat' });
          await from.say(long, { reliable: true, topic: 'chat' });
          await from.say('to you alone', { reliable: true, topic: 'chat', destinationIdentities: [to.identity] });
          await from.say('to nobody here', { reliable: true, topic: 'chat', destinationIdentities: ['nobody'] });
          await from.say('the end', { reliable: true, topic: 'chat' });
          const data = async (topic) => (await to.data()).filter((one) => one.topic === topic);
          // Lossy data may be lost, so the sender goes on until something arrives.
          const [lossy] = await until(`lossy data from ${from.identity}`, async () => {
            await from.say('lossy words', { reliable: false, topic: 'pointer' });
            const got = await data('pointer');
            return got.length > 0 && got;
          });
          const reliable = await until('all reliable data', async () => {
            const all = await data('chat');
            return all.some((one) => one.text === 'the end') && all;
          });
          // livekit-client seals the receivers together with the words, so sealed words reach all.
          const astray = key ? ['to nobody here'] : [];
          assert.deepEqual(
            reliable.map((one) => (one.text === long ? 'long words' : one.text)),
            ['reliable words', 'long words', 'to you alone', ...astray, 'the end'],
          );
          for (const one of await to.data()) assert.equal(one.from, from.identity);
          // livekit-client forgets the kind of what it has decrypted.
          if (!key) assert.deepEqual([reliable[0].reliable, lossy.reliable], [true, false]);
        }
      });

      test('who leaves is seen to leave', async () => {
        await bert.do((it) => it.disconnect());
        await anna.told('participantDisconnected', 'bert');
        assert.equal(await anna.do((it) => it.remoteParticipants.size), 0);
      });
    });
  }
}

test('a page with another key, or with none, decodes nothing', async () => {
  const room = 'call-keys';
  const quiet = { audio: false, video: false };
  const anna = await plain.join(room, 'anna', { key: 'one key' });
  const bert = await plain.join(room, 'bert', { key: 'one key' });
  const strangers = [await plain.join(room, 'eve', { ...quiet, key: 'another key' }), await plain.join(room, 'mallory', quiet)];
  await bert.hears(['anna camera', 'anna microphone']);
  await until('words at bert', async () => {
    await anna.say('words', { reliable: true });
    return (await bert.data()).length > 0;
  });
  for (const stranger of strangers) {
    await until(`packets at ${stranger.name}`, async () => (await stranger.packetsIn()) > 50);
    await stranger.silent(['anna camera'], { ear: bert, wanted: ['anna camera'] });
    assert.deepEqual(await stranger.data(), []);
  }
  for (const person of [anna, bert, ...strangers]) await person.close();
});

test('clients of both layouts and three people share a room', async () => {
  const room = 'call-mixed';
  const people = [];
  for (const [name, layout] of [['anna', 'single'], ['bert', 'dual'], ['cleo', 'single']]) {
    people.push(await plain.join(room, name, { layout }));
  }
  for (const one of people) {
    const others = people.filter((other) => other !== one).map((other) => other.identity);
    await one.hears(others.flatMap((name) => [`${name} camera`, `${name} microphone`]));
  }
  for (const one of people) await one.close();
});
