// Three people in one room of the built-in page.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launchChromium, watch } from './harness/chromium.mjs';
import { Guest, Key } from './harness/guest.mjs';
import { Server } from './harness/server.mjs';
import { until } from './harness/until.mjs';

const SHOTS = path.resolve(import.meta.dirname, '../../target/screenshots');

let server;
let browser;
let anna;
let bert;
let cleo;
let key;

async function visitor(name, { locale = 'en-GB', viewport = { width: 1280, height: 800 } } = {}) {
  const context = await browser.newContext({ locale, viewport });
  const page = await context.newPage();
  // What a person calls itself is for the others, not for the server's log.
  server.secrets.add(name);
  return new Guest(page, name, watch(page));
}

const shot = (guest, name) => guest.page.screenshot({ path: path.join(SHOTS, `${name}.png`) });
const tile = (guest, other, pleases) =>
  guest.sees(`a change at ${other.name}`, 'tile', (it) => it.identity === other.identity && pleases(it));

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  server = await Server.start();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('three people meet by host link and invitations', async () => {
  anna = await visitor('Dr. Anna Amsel');
  bert = await visitor('Bert Buchfink', { locale: 'de-DE' });
  cleo = await visitor('Cleo Dohle', { viewport: { width: 390, height: 780 } });
  await anna.enter(server.run.host_link, { beforeJoin: () => shot(anna, 'setup') });
  key = new Key(await anna.page.url());
  await bert.enter(await anna.invite(), { layout: 'single' });
  await cleo.enter(await anna.invite(), { layout: 'dual' });
  const all = [anna, bert, cleo];
  assert.equal(new Set(all.map((guest) => guest.identity)).size, 3);
  await Promise.all(all.map((guest) => guest.meets(all.filter((other) => other !== guest))));
  assert.match(await bert.text(), /Verlassen|Auflegen|Einladen|Mikrofon/, 'the page speaks German to a German browser');
  for (const guest of all) await shot(guest, `call-${guest.name.split(' ').at(-1).toLowerCase()}`);
});

test('the server has no names and forwards sealed frames', async () => {
  const room = /\/r\/([^#/]+)/.exec(server.run.host_link)[1];
  const told = await server.call('GET', `/v1/rooms/${room}/participants`);
  assert.equal(told.status, 200, told.text);
  for (const { name } of [anna, bert, cleo]) assert.ok(!told.text.includes(name), 'a name is in the server');
  for (const { identity } of [anna, bert, cleo]) assert.ok(told.text.includes(identity), 'a participant is not in the list');
  for (const kind of ['audio', 'video']) {
    const out = `konsil_rtp_packets_total{direction="out",kind="${kind}"}`;
    const before = await server.metric(out);
    await until(`more ${kind} forwarded`, async () => (await server.metric(out)) > before + 50);
  }
  assert.equal(await server.metric('konsil_participants'), 3);
});

test('mute and unmute show at the others', async () => {
  await anna.click('mute-mic');
  await anna.sees('the own microphone off', 'mute-mic', (it) => it.on === 'false');
  for (const other of [bert, cleo]) await tile(other, anna, (it) => it.muted === 'true');
  await bert.silent([`${anna.identity} microphone`], { ear: bert, wanted: [`${anna.identity} camera`] });
  await anna.click('mute-mic');
  for (const other of [bert, cleo]) await tile(other, anna, (it) => it.muted === 'false');
  await bert.hears([`${anna.identity} microphone`]);
  await bert.click('mute-cam');
  await anna.silent([`${bert.identity} camera`], { ear: anna, wanted: [`${cleo.identity} camera`] });
  await bert.click('mute-cam');
  await anna.hears([`${bert.identity} camera`]);
});

test('a shared screen takes the stage and goes again', async () => {
  await bert.click('share-screen');
  for (const other of [anna, cleo]) {
    await other.sees('the screen', 'screen-tile', (it) => it.identity.startsWith(bert.identity));
    await other.hears([`${bert.identity} screen_share`], { frames: 3 });
  }
  await shot(anna, 'screen');
  await bert.click('share-screen');
  await until('no screen', async () => (await anna.see('screen-tile')).length === 0);
  await anna.hears([`${bert.identity} camera`]);
});

test('a call goes on after a lost connection', async () => {
  await cleo.page.evaluate(() => window.konsil.room.engine.client.ws.close());
  await cleo.sees('the connection come back', 'status', (it) => it.state === 'reconnected' || it.state === 'connected');
  await cleo.meets([anna, bert]);
  await anna.meets([cleo]);
});

test('who leaves is gone, and may come again', async () => {
  await cleo.click('leave');
  await cleo.sees('a goodbye', 'goodbye', (it) => it.reason === 'left');
  await shot(cleo, 'goodbye');
  for (const other of [anna, bert]) {
    await until('the tile to go', async () => !(await other.see('tile')).some((it) => it.identity === cleo.identity));
  }
  await cleo.click('rejoin');
  await cleo.sees('the microphone on', 'setup-mic', (it) => it.on === 'true');
  await cleo.click('join');
  await cleo.sees('the call', 'status', (it) => it.state === 'connected');
  const before = cleo.identity;
  cleo.identity = (await cleo.sees('the own tile', 'tile', (it) => it.local === 'true')).identity;
  assert.notEqual(cleo.identity, before, 'two visits by one link are two guests');
  await anna.meets([cleo]);
});

/** Hands a key to the ring of this page, as the group of the room does. */
const rekey = (guest, index, byte) =>
  guest.page.evaluate(
    ([index, byte]) => {
      const { keyProvider } = window.konsil.room.e2eeManager;
      keyProvider.follow({ follow: (take) => (take(index, new Uint8Array(32).fill(byte)), () => undefined) });
    },
    [index, byte],
  );

test('pictures, sound and data go on while keys change, all the way round the ring', async () => {
  const all = [anna, bert, cleo];
  await bert.page.evaluate(() => {
    window.heard = [];
    window.konsil.room.on('dataReceived', (bytes) => window.heard.push(new TextDecoder().decode(bytes)));
  });
  for (const index of [1, 2, 15, 0]) {
    for (const guest of all) await rekey(guest, index, 100 + index);
    // By then the new key is the one that is used.
    await until('the change', () => anna.page.evaluate((wanted) => window.konsil.room.e2eeManager.keyProvider.getLatestManuallySetKeyIndex() === wanted, index));
    for (const guest of all) await guest.meets(all.filter((other) => other !== guest));
    const words = `words under key ${index}`;
    await anna.page.evaluate((text) => window.konsil.room.localParticipant.publishData(new TextEncoder().encode(text), { reliable: true }), words);
    await until('the words', () => bert.page.evaluate((wanted) => window.heard.includes(wanted), words));
  }
  for (const guest of all) assert.ok(await guest.page.evaluate(() => document.querySelector('[data-testid="alert"]').hidden), 'nothing was undecipherable');
});

test('who is not given the next key sees and hears nothing any more', async () => {
  for (const guest of [anna, bert]) await rekey(guest, 3, 103);
  await anna.hears([`${bert.identity} camera`, `${bert.identity} microphone`]);
  await cleo.silent([`${anna.identity} camera`, `${anna.identity} microphone`, `${bert.identity} camera`], { ear: anna, wanted: [`${bert.identity} camera`] });
  await rekey(cleo, 3, 103);
  await cleo.meets([anna, bert]);
});

test('the key never left a browser', () => {
  const origin = new URL(server.run.host_link).origin;
  for (const guest of [anna, bert, cleo]) key.stayed(guest, origin);
  assert.ok(!server.log.replaceAll(server.run.host_link, '').includes(key.text), 'the key is in the log');
});

test('a link without its key does not get in', async () => {
  const dora = await visitor('Dora Drossel');
  const link = await anna.invite();
  await dora.page.goto(link.replace(/&k=.*/, ''));
  await until('a refusal', async () => /link|schlüssel|key/i.test(await dora.text()));
  assert.deepEqual(await dora.see('join'), []);
});
