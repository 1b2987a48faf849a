// Real clients on bad networks: Chromium behind a proxy that loses, delays and throttles.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { watch } from './harness/chromium.mjs';
import { Guest } from './harness/guest.mjs';
import { Impair, onlyThroughPort } from './harness/impair.mjs';
import { stage } from './harness/stage.mjs';
import { until } from './harness/until.mjs';

const it = stage();
const { scene } = it;
const SHOTS = path.resolve(import.meta.dirname, '../../target/screenshots');
const quiet = { audio: false, video: false };
const size = { width: 960, height: 540, frameRate: 15 };
const publish = { simulcast: true, videoCodec: 'vp8' };
const LOW = 0;
const HIGH = 2;

/** What reaches `person` of one of anna's tracks. */
const stream = async (person, source) => (await person.received()).find((one) => one.from === 'anna' && one.source === source);

/** Waits until the picture that is shown pleases. */
async function shown(person, pleases, what, within = 60_000) {
  const look = () => stream(person, 'camera');
  return until(`${person.name} to be shown ${what}`, async () => pleases((await look())?.height), { within, state: look });
}

/** What two looks at a stream differ by, `after` having gained something. */
async function gained(person, source, enough) {
  const first = await stream(person, source);
  let last;
  await until(`more of anna's ${source}`, async () => enough((last = await stream(person, source)), first), { state: () => ({ first, last }) });
  return { first, last };
}

let impair;
after(() => impair?.stop());

/** A network on which nothing is wrong. */
async function proxy() {
  const [udp] = it.server.run.udp;
  impair ??= await Impair.before(Number(udp.slice(udp.lastIndexOf(':') + 1)));
  impair.become({});
}

/** Anna is well connected, bert behind the proxy. */
const pair = (name, how, act) =>
  scene(async ({ join }) => {
    await proxy();
    const anna = await join(name, 'anna', { size, publish, ...how });
    const bert = await join(name, 'bert', { ...quiet, key: how.key, port: impair.port });
    await shown(bert, (height) => height === 540, 'the large picture');
    await act({ anna, bert, join });
  });

/** Bert's network narrows and widens; the layers that he is shown follow, and the picture hardly stands still. */
async function narrowed(bert) {
  const before = await stream(bert, 'camera');
  impair.become({ down: { rate: 250, delay: 20 } });
  await shown(bert, (height) => height <= 180, 'the small picture');
  await bert.hears(['anna camera', 'anna microphone']);
  impair.become({ down: { delay: 20 } });
  await shown(bert, (height) => height === 540, 'the large picture again');
  const { frozen, freezes } = await stream(bert, 'camera');
  assert.ok(frozen - before.frozen < 10, `${freezes - before.freezes} freezes, ${frozen - before.frozen} s`);
}

for (const layout of ['single', 'dual']) {
  test(`${layout}: layers go down where the network narrows, and up again`, pair(`narrow-${layout}`, { layout }, ({ bert }) => narrowed(bert)));
}

for (const videoCodec of ['vp8', 'h264']) {
  test(`${videoCodec}: sealed layers go down where the network narrows, and up again`, pair(`narrow-${videoCodec}`, { key: 'the key', publish: { simulcast: true, videoCodec } }, async ({ bert }) => {
    await narrowed(bert);
    const { last } = await gained(bert, 'camera', (now, then) => now.frames - then.frames > 30);
    assert.ok(last.encrypted, 'anna says that she seals');
    assert.match(last.codec, new RegExp(videoCodec, 'i'));
  }));
}

test('where no picture fits, sound goes on alone, and the client is told', pair('sound-only', {}, async ({ bert }) => {
  impair.become({ down: { rate: 110, delay: 20 } });
  await bert.told('trackStreamStateChanged', 'paused');
  await gained(bert, 'microphone', (now, then) => now.samples - then.samples > 5 * 48_000);
  const { first, last } = await gained(bert, 'microphone', (now, then) => now.samples - then.samples > 10 * 48_000);
  const share = (last.concealed - first.concealed) / (last.samples - first.samples);
  assert.ok(share < 0.05, `${share} of the sound was made up`);
  await bert.forget();
  impair.become({});
  await bert.told('trackStreamStateChanged', 'active');
  await bert.hears(['anna camera']);
}));

test('sound comes through where a tenth is lost', pair('lossy', { video: true }, async ({ bert }) => {
  impair.become({ down: { loss: 0.1, delay: 30 } });
  const { first, last } = await gained(bert, 'microphone', (now, then) => now.samples - then.samples > 20 * 48_000);
  const share = (last.concealed - first.concealed) / (last.samples - first.samples);
  assert.ok(share < 0.03, `${share} of the sound was made up`);
  await bert.hears(['anna camera']);
}));

test('one bad network does not touch others', pair('isolated', {}, async ({ bert, join }) => {
  const cleo = await join('isolated', 'cleo', quiet);
  await shown(cleo, (height) => height === 540, 'the large picture');
  const before = await stream(cleo, 'camera');
  impair.become({ down: { rate: 150, delay: 100, loss: 0.1 } });
  // So little may carry the small picture, or none.
  await Promise.any([shown(bert, (height) => height <= 180, 'the small picture'), bert.told('trackStreamStateChanged', 'paused')]);
  const { last } = await gained(cleo, 'camera', (now, then) => now.frames - then.frames > 100);
  assert.equal(last.height, 540);
  // A page of a busy machine may stumble by itself.
  assert.ok(last.frozen - before.frozen < 1.5, `${last.freezes - before.freezes} freezes, ${last.frozen - before.frozen} s`);
}));

test('the page says that a picture is paused, and offers another try', async () => {
  await proxy();
  const visitor = async (name, locale, port) => {
    const context = await it.plain.browser.newContext({ locale, ignoreHTTPSErrors: true, permissions: ['camera', 'microphone'] });
    if (port) await context.addInitScript(onlyThroughPort, port);
    const page = await context.newPage();
    it.server.secrets.add(name);
    return new Guest(page, name, watch(page));
  };
  const anna = await visitor('Dr. Amsel', 'en-GB');
  const bert = await visitor('Herr Buchfink', 'de-DE', impair.port);
  await anna.enter(it.server.run.host_link);
  await bert.enter(await anna.invite());
  await bert.meets([anna]);
  const tile = (what, pleases) => bert.sees(what, 'tile', (one) => one.identity === anna.identity && pleases(one));
  impair.become({ down: { rate: 90, delay: 20 } });
  await tile('that the picture is paused', (one) => one.paused === 'true' && /Bild/.test(one.text));
  mkdirSync(SHOTS, { recursive: true });
  await bert.page.screenshot({ path: path.join(SHOTS, 'call-paused.png') });
  await bert.hears([`${anna.identity} microphone`]);
  // By itself the picture takes longer to come back than from here to the click.
  impair.become({});
  const tried = await bert.page.evaluate(() => {
    const button = document.querySelector('[data-paused="true"] [data-testid="try-again"]');
    button?.click();
    return button !== null;
  });
  assert.ok(tried, 'a paused picture offers another try');
  await tile('the picture again', (one) => one.paused === 'false');
  await bert.hears([`${anna.identity} camera`]);
  await Promise.all([anna, bert].map(({ page }) => page.context().close()));
});

test('layers that nobody watches are not made, and come back at once', scene(async ({ join }) => {
  const anna = await join('dynacast', 'anna', { size, publish, audio: false, dynacast: true });
  const bert = await join('dynacast', 'bert', quiet);
  const made = () => anna.do((room) => room.localParticipant.getTrackPublication('camera').track.sender.getParameters().encodings.map((one) => one.active));
  const wants = (quality) => bert.do((room, it) => room.remoteParticipants.get('anna').getTrackPublication('camera').setVideoQuality(it), quality);
  await shown(bert, (height) => height === 540, 'the large picture');
  await wants(LOW);
  await until('anna to stop the larger layers', async () => (await made()).join() === 'true,false,false', { state: made });
  await shown(bert, (height) => height <= 180, 'the small picture');
  await wants(HIGH);
  await until('anna to make them again', async () => (await made()).join() === 'true,true,true', { within: 500, state: made });
  await shown(bert, (height) => height === 540, 'the large picture again');
  await bert.close();
  await until('anna to stop all layers', async () => (await made()).join() === 'false,false,false', { state: made });
  const cleo = await join('dynacast', 'cleo', quiet);
  await cleo.hears(['anna camera']);
}));
