// Someone in front of the built-in page, in any browser whose driver has `goto`, `locator` and `evaluate`.

import assert from 'node:assert/strict';
import { Ear } from './media.mjs';
import { until } from './until.mjs';

/** Clicks and reads by the page's `data-testid` hooks. */
export class Guest extends Ear {
  constructor(page, name, seen) {
    super(page, 'konsil.room', name);
    this.seen = seen;
  }

  at(id) {
    return this.page.locator(`[data-testid="${id}"]`);
  }

  click(id) {
    return this.at(id).click();
  }

  /** What all elements with this hook say of themselves: their `data-` values, text and value. */
  see(id) {
    return this.page.evaluate(
      (wanted) =>
        [...document.querySelectorAll(`[data-testid="${wanted}"]`)].map((it) => ({ ...it.dataset, text: it.textContent, value: it.value })),
      id,
    );
  }

  sees(what, id, pleases) {
    return until(`${this.name} to see ${what}`, async () => (await this.see(id)).find(pleases), {
      state: async () => ({ [id]: await this.see(id), page: await this.text(), console: this.seen?.console.slice(-20) }),
    });
  }

  text() {
    return this.page.evaluate(() => document.body.innerText.slice(0, 600));
  }

  /** Opens a link, fills in the own name, and goes in with camera and microphone. */
  async enter(link, { layout, beforeJoin } = {}) {
    const [address, fragment] = link.split('#');
    await this.page.goto(`${address}${layout ? `?layout=${layout}` : ''}#${fragment}`);
    await this.sees('the microphone on', 'setup-mic', (it) => it.on === 'true');
    await this.sees('the camera on', 'setup-cam', (it) => it.on === 'true');
    await this.at('name-input').fill(this.name);
    await beforeJoin?.();
    await this.click('join');
    await this.sees('the call', 'status', (it) => it.state === 'connected');
    const own = await this.sees('the own tile', 'tile', (it) => it.local === 'true');
    this.identity = own.identity;
  }

  /** Makes a guest link by the page's button. */
  async invite() {
    await this.click('invite');
    const { value } = await this.sees('a link', 'invite-link', (it) => it.value);
    await this.page.evaluate(() => document.querySelector('dialog').close());
    return value;
  }

  /** Waits until pictures and sound of all others arrive, encrypted, and their names stand on their tiles. */
  async meets(others) {
    const streams = await this.hears(others.flatMap(({ identity }) => [`${identity} camera`, `${identity} microphone`]));
    for (const one of streams) assert.equal(one.encrypted, true, `${this.name} receives readable frames: ${JSON.stringify(one)}`);
    for (const other of others) {
      await this.sees(`the name ${other.name}`, 'tile', (it) => it.identity === other.identity && it.text.includes(other.name));
    }
  }
}

/** The link's secret part, and checks that it stays in the browser. */
export class Key {
  constructor(link) {
    this.text = new URLSearchParams(new URL(link).hash.slice(1)).get('k');
    assert.match(this.text, /^[\w-]{22}$/, 'the link has a key');
    this.bytes = Buffer.from(this.text, 'base64url');
  }

  /** Nothing that a page asked for or sent has the key in it, and all of it went to the one origin. */
  stayed(guest, origin) {
    const { requests, sockets, console } = guest.seen;
    assert.ok(requests.length > 0 && sockets.length > 0, 'the page asked for something');
    const of = (url) => new URL(url).origin.replace(/^ws/, 'http');
    for (const { url, headers, body } of requests) {
      if (!/^(data|blob):/.test(url)) assert.equal(of(url), origin, 'a foreign origin was asked');
      this.absent(`${url}\n${JSON.stringify(headers)}\n${body}`, url);
    }
    for (const { url, sent } of sockets) {
      assert.equal(of(url), origin, 'a foreign origin was connected');
      this.absent(url, 'a WebSocket address');
      for (const frame of sent) this.absent(frame.toString('latin1'), 'a WebSocket message');
    }
    const complaints = console.filter((line) => /content security policy|page error/i.test(line));
    assert.deepEqual(complaints, [], `${guest.name}'s page complains`);
  }

  absent(text, where) {
    assert.ok(!text.includes(this.text) && !text.includes(this.bytes.toString('latin1')), `the key is in ${where}`);
  }
}
