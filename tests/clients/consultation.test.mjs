// The journey of a consultation: from the invitation to the end, by link and by TAN, in both languages.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launchChromium } from './harness/chromium.mjs';
import { Server } from './harness/server.mjs';
import { until } from './harness/until.mjs';
import { Visitor } from './harness/visitor.mjs';

const SHOTS = path.resolve(import.meta.dirname, '../../target/screenshots');
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

let server;
let browser;
let rooms = 0;

const shot = (one, name) => one.page.screenshot({ path: path.join(SHOTS, `${name}.png`) });

async function make(body) {
  const id = `raum-${++rooms}`;
  const made = await server.call('POST', '/v1/rooms', { body: { id, lobby: true, ...body } });
  assert.equal(made.status, 201, made.text);
  return id;
}

async function link(room, role) {
  const made = await server.call('POST', `/v1/rooms/${room}/invitations`, { body: { kind: 'link', role } });
  assert.equal(made.status, 201, made.text);
  // Its host is the one that the server knows best; this is the one that the browser can reach.
  const { pathname, hash } = new URL(made.json().link);
  return `${server.origin}${pathname}${hash}`;
}

/** A room with a host in it, and people who are gone at the end. */
async function consultation(body, act, { locale = 'de-DE' } = {}) {
  const room = await make(body);
  const here = [];
  const visitor = async (name, options) => {
    const one = await Visitor.open(browser, server, name, { locale, ...options });
    here.push(one);
    return one;
  };
  try {
    const host = await visitor('Dr. Anna Amsel');
    await host.enter(await link(room, 'host'));
    await act({ room, host, visitor });
  } finally {
    for (const one of here) await one.close();
  }
}

/** The link with the host that this browser can reach. */
const reach = (address) => {
  const { pathname, hash } = new URL(address);
  return `${server.origin}${pathname}${hash}`;
};

/** As the page makes them: one wrong character in the secret half, and the check character that fits. */
function withOtherSecret(tan) {
  const bare = [...tan.replaceAll('-', '')];
  bare[8] = ALPHABET[(ALPHABET.indexOf(bare[8]) + 1) % 32];
  bare[11] = check(bare.slice(0, 11));
  return bare.join('');
}

function check(characters) {
  const sum = characters.reduce((sum, character) => {
    const doubled = (sum ^ ALPHABET.indexOf(character)) << 1;
    return doubled < 32 ? doubled : doubled ^ 37;
  }, 0);
  return ALPHABET[sum];
}

const code = async (one) => (await one.sees('the safety code', 'safety-code', (it) => /^\d{5}( \d{5}){5}$/.test(it.text))).text;
const sameCode = (one, other) =>
  until('the same safety code', async () => (await code(one)) === (await code(other)), { state: async () => [await one.see('safety-code'), await other.see('safety-code')] });

before(async () => {
  mkdirSync(SHOTS, { recursive: true });
  server = await Server.start();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const locale of ['de-DE', 'en-GB']) {
  for (const mode of ['p2p', 'sfu']) {
    test(`a guest comes by TAN, waits, is let in, put back, and comes back after a reload (${mode}, ${locale})`, () =>
      consultation(
        { mode },
        async ({ host, visitor }) => {
          const { tan, address } = await host.inviteByTan();
          assert.match(tan, /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
          const guest = await visitor('Bert Buchfink', { viewport: { width: 390, height: 780 } });
          await guest.page.goto(reach(address));
          await guest.types(tan.toLowerCase().replaceAll('-', ''));
          await guest.goesIn();
          await guest.waits();
          assert.match(await guest.allText(), locale === 'de-DE' ? /Die Praxis weiß, dass Sie da sind/ : /The practice knows that you are here/);
          await host.seesWaiting(guest);
          await until('the coming to be announced', async () => (await host.see('desk-news'))[0].text.includes(guest.name));
          await host.order('admit', guest);
          await guest.calls();
          await meet(mode, host, guest);
          await sameCode(host, guest);
          await shot(host, `consultation-${mode}-host`);
          await host.order('putback', guest);
          await guest.waits('put-back');
          await host.seesWaiting(guest);
          await guest.page.reload();
          await guest.goesIn();
          await guest.waits();
          await host.seesWaiting(guest);
          await host.order('admit', guest);
          await guest.calls();
          await meet(mode, host, guest);
          await sameCode(host, guest);
          const bare = tan.replaceAll('-', '');
          for (const one of [host, guest]) one.keeps(bare.slice(6, 11), bare, tan, tan.slice(5), 'Amsel', 'Buchfink');
          await host.click('end');
          await host.click('confirm');
          for (const one of [host, guest]) await one.sees('the end', 'goodbye', (it) => it.reason === 'closed');
          assert.deepEqual(await guest.page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith('konsil.stay'))), []);
        },
        { locale },
      ));
  }
}

/** Both see and hear each other. */
async function meet(mode, host, guest) {
  if (mode === 'p2p') {
    await host.meets(guest);
    return guest.meets(host);
  }
  for (const [one, other] of [
    [host, guest],
    [guest, host],
  ]) {
    await one.hears([`${other.identity} camera`, `${other.identity} microphone`]);
    await one.sees(`the name ${other.name}`, 'tile', (it) => it.identity === other.identity && it.text.includes(other.name));
  }
}

test('guests come by link, wait, are let in, refused, and locked out', () =>
  consultation({ mode: 'sfu' }, async ({ room, host, visitor }) => {
    const invitation = await host.invite();
    const bert = await visitor('Bert Buchfink');
    const cleo = await visitor('Cleo Dohle', { locale: 'en-GB' });
    for (const guest of [bert, cleo]) {
      await guest.page.goto(invitation);
      await guest.goesIn();
      await guest.waits();
      await host.seesWaiting(guest);
    }
    await host.order('admit', bert);
    await bert.calls();
    await meet('sfu', host, bert);
    await sameCode(host, bert);
    await host.order('refuse', cleo);
    await host.click('confirm');
    await cleo.sees('that it is over', 'goodbye', (it) => it.reason === 'turnedAway');
    await cleo.sound('the page of who was turned away');
    await host.order('mute', bert);
    await bert.sees('the own microphone off', 'mute-mic', (it) => it.on === 'false');
    await host.click('lock');
    await host.sees('the room locked', 'lock', (it) => it.locked === 'true');
    const dora = await visitor('Dora Drossel');
    await dora.page.goto(invitation);
    await dora.goesIn();
    await dora.sees('that the room is locked', 'goodbye', (it) => it.reason === 'locked');
    await host.click('lock');
    await host.sees('the room open', 'lock', (it) => it.locked === 'false');
    await dora.click('rejoin');
    await dora.goesIn();
    await dora.waits();
    await host.seesWaiting(dora);
    await host.order('admit', dora);
    await dora.calls();
    // Three have one code, and two after one has gone.
    await sameCode(host, dora);
    await sameCode(bert, dora);
    await host.order('remove', dora);
    await host.click('confirm');
    await dora.sees('that it is over', 'goodbye', (it) => it.reason === 'removed');
    await sameCode(host, bert);
    await bert.click('leave');
    await bert.sees('a goodbye', 'goodbye', (it) => it.reason === 'left');
    const key = new URLSearchParams(new URL(invitation).hash.slice(1)).get('k');
    for (const one of [host, bert, cleo, dora]) one.keeps(key, Buffer.from(key, 'base64url').toString('latin1'));
    const told = await server.call('GET', `/v1/rooms/${room}/participants`);
    for (const { name } of [host, bert]) assert.ok(!told.text.includes(name), 'a name is in the server');
  }));

test('a typing error is told at once and never sent; unknown, early and expired TANs are told apart', () =>
  consultation({ mode: 'p2p' }, async ({ room, host, visitor }) => {
    const { tan, address } = await host.inviteByTan();
    const guest = await visitor('Bert Buchfink');
    await guest.page.goto(reach(address));
    const complaint = (words) => guest.sees('the complaint', 'tan-error', (it) => words.test(it.text));
    const asked = () => guest.seen.requests.filter(({ url }) => url.endsWith('/v1/join')).length;
    const swapped = tan.slice(0, 10) + [...tan.slice(10)].reverse().join('');
    const wrong = `${tan.slice(0, -1)}${tan.endsWith('0') ? '1' : '0'}`;
    for (const typed of swapped === tan ? [wrong] : [wrong, swapped]) {
      await guest.types(typed);
      await complaint(/Tippfehler/);
    }
    await guest.types('7KQ2-M9');
    await complaint(/zwölf Zeichen/);
    await guest.at('tan-input').fill('7KQ!');
    await complaint(/„!“/);
    await guest.sound('the page for TANs with a complaint');
    assert.equal(asked(), 0, 'what has a typing error is sent to nobody');
    const made = async (admit, times) => {
      const body = { kind: 'tan', role: 'guest', admit, sealed: 'AAAA', ...times };
      const answer = await server.call('POST', `/v1/rooms/${room}/invitations`, { body });
      assert.equal(answer.status, 201, answer.text);
      const half = [...`${admit}00000`];
      return { tan: half.join('') + check(half), id: answer.json().id };
    };
    const now = Math.floor(Date.now() / 1000);
    const early = await made('EAR1YY', { not_before: now + 3600, not_after: now + 7200 });
    const late = await made('0VER00', { not_after: now + 2 });
    const unknown = [...'ZZZZZZ00000'];
    await guest.types(unknown.join('') + check(unknown));
    await complaint(/nicht bekannt/);
    await guest.types(early.tan);
    await complaint(/gilt erst ab/);
    await until('the TAN to expire', async () => {
      const { invitations } = (await server.call('GET', `/v1/rooms/${room}/invitations`)).json();
      return !invitations.some(({ id }) => id === late.id);
    });
    await guest.types(late.tan);
    await complaint(/gilt nicht mehr/);
    await guest.types(tan);
    await guest.goesIn();
    await guest.waits();
    const other = await visitor('Cleo Dohle');
    await other.page.goto(reach(address));
    await other.types(tan);
    await other.sees('the complaint', 'tan-error', (it) => /auf einem anderen Gerät/.test(it.text));
  }));

test('a TAN whose secret half is wrong is asked for again, and ends after three', () =>
  consultation({ mode: 'p2p' }, async ({ host, visitor }) => {
    const { tan, address } = await host.inviteByTan();
    const wrong = withOtherSecret(tan);
    const guest = await visitor('Bert Buchfink');
    await guest.page.goto(reach(address));
    await guest.types(wrong);
    await guest.goesIn();
    await guest.sees('that the TAN is wrong', 'wrong-tan', (it) => it.text);
    await guest.sound('the question for the TAN');
    await host.sees('the doubt', 'doubt', (it) => it.doubt === 'wrong-tan');
    await guest.types(tan);
    await host.seesWaiting(guest);
    await host.order('admit', guest);
    await guest.calls();
    await meet('p2p', host, guest);
    await sameCode(host, guest);

    const second = await host.inviteByTan();
    await host.order('remove', guest);
    await host.click('confirm');
    const cleo = await visitor('Cleo Dohle');
    await cleo.page.goto(reach(second.address));
    await cleo.types(withOtherSecret(second.tan));
    await cleo.goesIn();
    for (let times = 2; times <= 3; times++) {
      await cleo.sees('that the TAN is wrong', 'wrong-tan', (it) => it.text);
      await cleo.types(withOtherSecret(second.tan));
      await until('the question to go', async () => (await cleo.see('wrong-tan')).length === 0);
    }
    await cleo.sees('that it is over', 'goodbye', (it) => it.reason === 'turnedAway');
  }));

test('reception lets in from another browser with the practice key, and a host without it is told so', () =>
  consultation({ mode: 'sfu' }, async ({ room, host, visitor }) => {
    const { tan, address } = await host.inviteByTan();
    const reception = await visitor('Rita Rotkehl');
    await reception.page.goto(await link(room, 'reception'));
    await reception.sees('the page', 'reception', () => true);
    const guest = await visitor('Bert Buchfink');
    await guest.page.goto(reach(address));
    await guest.types(tan);
    await guest.goesIn();
    await guest.waits();
    await reception.sees('that the practice key is missing', 'doubt', (it) => it.doubt === 'no-practice-key');
    await reception.sound('the page of reception without a practice key');
    const [download] = await Promise.all([host.page.waitForEvent('download'), exportPractice(host)]);
    await reception.at('import-practice').first().click();
    await reception.at('practice-file').setInputFiles(await download.path());
    await reception.seesWaiting(guest);
    await reception.sound('the page of reception');
    await shot(reception, 'reception');
    const own = await reception.inviteByTan();
    await reception.order('admit', guest);
    await guest.calls();
    await meet('sfu', host, guest);
    await sameCode(host, guest);
    const practice = await host.page.evaluate(() => localStorage.getItem('konsil.practice.default'));
    const secret = practice.split(':')[2];
    for (const one of [host, reception, guest]) one.keeps(secret, own.tan, own.tan.replaceAll('-', '').slice(6, 11));
    assert.equal(await reception.page.evaluate(() => window.konsil?.room ?? window.konsil?.p2p ?? 'nothing'), 'nothing', 'reception has no part in the call');
    // What reception made, the host's browser opens.
    const cleo = await visitor('Cleo Dohle');
    await cleo.page.goto(reach(own.address));
    await cleo.types(own.tan);
    await cleo.goesIn();
    await host.seesWaiting(cleo);
  }));

async function exportPractice(host) {
  await host.click('invite');
  await host.at('invite-by-tan').check();
  await host.click('practice');
  await host.click('practice-save');
  for (let open = 2; open > 0; open--) await host.at('dialog-close').last().click();
}

test('a guest who waits comes back when the server does, and one who came by TAN without another', (t) =>
  consultation({ mode: 'p2p' }, async ({ room, host, visitor }) => {
    const { tan, address } = await host.inviteByTan();
    const guest = await visitor('Bert Buchfink');
    await guest.page.goto(reach(address));
    await guest.types(tan);
    await guest.goesIn();
    await guest.waits();
    await host.seesWaiting(guest);
    await server.restart();
    const kept = await server.call('GET', `/v1/rooms/${room}`);
    if (!kept.json().lobby) return t.skip('this server forgets waiting rooms and invitations when it ends');
    await guest.waits();
    await host.seesWaiting(guest);
    await guest.page.reload();
    await guest.goesIn();
    await guest.waits();
    await host.seesWaiting(guest);
    await host.order('admit', guest);
    await guest.calls();
    await meet('p2p', host, guest);
  }));

test('the whole way goes by keyboard alone, and no page has a fault that axe finds', async () => {
  const room = await make({ mode: 'p2p' });
  const people = [];
  const visitor = async (name) => {
    people.push(await Visitor.open(browser, server, name, { locale: 'en-GB' }));
    return people.at(-1);
  };
  try {
    const host = await visitor('Dr. Anna Amsel');
    await host.page.goto(await link(room, 'host'));
    await host.sees('the camera on', 'setup-cam', (it) => it.on === 'true');
    await host.sound('the device page');
    await write(host, 'name-input', host.name);
    await press(host, 'join');
    await host.calls();
    await host.sound('the call of one');
    await press(host, 'invite');
    await host.sees('a link', 'invite-link', (it) => it.value);
    await host.sound('the dialog with the link');
    await reachByTab(host, 'invite-by-link');
    await host.page.keyboard.press('ArrowDown');
    await host.sound('the dialog before the TAN');
    await press(host, 'make-tan');
    const { text: tan } = await host.sees('a TAN', 'tan', (it) => it.text);
    const [{ text: address }] = await host.see('tan-address');
    await host.sound('the dialog with the TAN');
    await host.page.keyboard.press('Escape');

    const guest = await visitor('Bert Buchfink');
    await guest.page.goto(reach(address));
    await guest.sees('the field', 'tan-input', () => true);
    await guest.sound('the page for TANs');
    await write(guest, 'tan-input', tan);
    await guest.page.keyboard.press('Enter');
    await guest.sees('the camera on', 'setup-cam', (it) => it.on === 'true');
    await write(guest, 'name-input', guest.name);
    await guest.page.keyboard.press('Enter');
    await guest.waits();
    await guest.sound('the waiting room');
    await host.seesWaiting(guest);
    await host.sound('the call with somebody waiting');
    await press(host, 'admit');
    await guest.calls();
    await host.meets(guest);
    await guest.meets(host);
    await host.sound('the call of the host');
    await guest.sound('the call of the guest');
    await press(host, 'putback');
    await guest.waits('put-back');
    await press(host, 'refuse');
    await host.sound('the question before refusing');
    await press(host, 'confirm');
    await guest.sees('that it is over', 'goodbye', (it) => it.reason === 'turnedAway');
    await press(host, 'end');
    await press(host, 'confirm');
    await host.sees('the end', 'goodbye', (it) => it.reason === 'closed');
    await host.sound('the goodbye');
  } finally {
    for (const one of people) await one.close();
  }
});

/** Moves the focus on by the Tab key alone until it is there. */
async function reachByTab(one, id) {
  await one.sees(id, id, () => true);
  for (let times = 0; times < 60; times++) {
    if (await one.page.evaluate((wanted) => document.activeElement?.dataset.testid === wanted, id)) return;
    await one.page.keyboard.press('Tab');
  }
  assert.fail(`${id} is out of the keyboard's reach`);
}

async function press(one, id) {
  await reachByTab(one, id);
  await one.page.keyboard.press('Enter');
}

async function write(one, id, words) {
  await reachByTab(one, id);
  await one.page.keyboard.type(words);
}
