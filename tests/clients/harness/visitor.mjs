// Somebody on the journey of a consultation: waiting room, invitations, practice key.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { watch } from './chromium.mjs';
import { Partner } from './partner.mjs';
import { until } from './until.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

export class Visitor extends Partner {
  static async open(browser, server, name, { locale = 'en-GB', viewport = { width: 1280, height: 800 }, storageState } = {}) {
    const context = await browser.newContext({ locale, viewport, storageState, ignoreHTTPSErrors: true });
    const page = await context.newPage();
    server.secrets.add(name);
    const visitor = new Visitor(page, name, watch(page));
    visitor.lang = locale.slice(0, 2);
    return visitor;
  }

  close() {
    return this.page.context().close();
  }

  /** From the device page into the call, or the waiting room. */
  async goesIn() {
    await this.sees('the camera on', 'setup-cam', (it) => it.on === 'true');
    await this.at('name-input').fill(this.name);
    await this.click('join');
  }

  async enter(link) {
    await this.page.goto(link);
    await this.goesIn();
    await this.calls();
  }

  async waits(state = 'known') {
    await this.sees('that one waits', 'waiting-state', (it) => it.state === state);
  }

  async calls() {
    await this.sees('the call', 'status', (it) => it.state === 'connected' || it.state === 'reconnected');
    this.identity = (await this.sees('the own tile', 'tile', (it) => it.local === 'true')).identity;
  }

  async types(tan) {
    await this.at('tan-input').fill('');
    await this.at('tan-input').pressSequentially(tan);
    await this.click('tan-go');
  }

  /** A link, as the dialog shows it. */
  async invite() {
    await this.click('invite');
    const { value } = await this.sees('a link', 'invite-link', (it) => it.value);
    await this.click('dialog-close');
    return value;
  }

  /** A TAN, as the dialog shows it. */
  async inviteByTan(look) {
    await this.click('invite');
    await this.at('invite-by-tan').check();
    await this.click('make-tan');
    const { text } = await this.sees('a TAN', 'tan', (it) => it.text);
    const [{ text: address }] = await this.see('tan-address');
    await look?.();
    await this.click('dialog-close');
    return { tan: text, address };
  }

  row(other) {
    return this.page.locator('[data-testid="person"]', { hasText: other.name });
  }

  async seesWaiting(other) {
    await until(`${this.name} to see that ${other.name} waits`, async () => (await this.row(other).getAttribute('data-state')) === 'waiting', {
      state: async () => [await this.text(), this.seen.console.slice(-10)],
    });
  }

  order(what, other) {
    return this.row(other).locator(`[data-testid="${what}"]`).click();
  }

  /** What is wrong for people who do not see the page, or not well. */
  async sound(where) {
    await this.page.evaluate(AXE);
    const { violations } = await this.page.evaluate(() => axe.run());
    const told = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(' | ')}`);
    assert.deepEqual(told, [], `faults of ${where}`);
  }

  /** All that this page asked for and said, but what it was answered. */
  said() {
    const { requests, sockets } = this.seen;
    return [
      ...requests.map(({ url, headers, body }) => `${url}\n${JSON.stringify(headers)}\n${body}`),
      ...sockets.flatMap(({ url, sent }) => [url, ...sent.map((frame) => frame.toString('latin1'))]),
    ];
  }

  /** Checks that none of these texts left the page. */
  keeps(...secrets) {
    for (const text of this.said()) {
      for (const secret of secrets) assert.ok(!text.includes(secret), `${this.name}'s page sent a secret in ${text.slice(0, 80)}`);
    }
  }
}
