// Pages of plain livekit-client, served apart from the server under test.

import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { launchChromium, watch } from './chromium.mjs';
import { onlyThroughPort } from './impair.mjs';
import { Ear } from './media.mjs';
import { until } from './until.mjs';

const HERE = path.resolve(import.meta.dirname, '..');
const DIST = path.join(HERE, 'node_modules/livekit-client/dist');
const FILES = {
  '/': [path.join(HERE, 'page/plain.html'), 'text/html'],
  '/plain.js': [path.join(HERE, 'page/plain.js'), 'text/javascript'],
  '/livekit-client.js': [path.join(DIST, 'livekit-client.umd.js'), 'text/javascript'],
  '/e2ee-worker.js': [path.join(DIST, 'livekit-client.e2ee.worker.js'), 'text/javascript'],
};

/** A browser and the site whose pages it opens. */
export class Plain {
  static async start(server, launch = launchChromium) {
    const plain = new Plain();
    plain.server = server;
    plain.site = http.createServer((asked, answer) => {
      const file = FILES[asked.url];
      if (!file) return answer.writeHead(404).end();
      answer.writeHead(200, { 'content-type': file[1] }).end(readFileSync(file[0]));
    });
    plain.site.listen(0, '127.0.0.1');
    await new Promise((resolve) => plain.site.once('listening', resolve));
    plain.address = `http://127.0.0.1:${plain.site.address().port}/`;
    plain.browser = await launch();
    return plain;
  }

  /** An empty page of someone who has not joined yet; with `port` its media go to that port of loopback only. */
  async open(identity, port) {
    const context = await this.browser.newContext();
    if (port) await context.addInitScript(onlyThroughPort, port);
    const page = await context.newPage();
    const seen = watch(page);
    await page.goto(this.address);
    return new Person(page, identity, seen);
  }

  /** Someone in a room. `how` goes to the page's `enter`; a `token` in it replaces the usual one. */
  async join(room, identity, { port, ...how } = {}) {
    const person = await this.open(identity, port);
    const who = ['--room', room, '--identity', identity];
    // Clients of the SFU are not told of the relay by UDP, for ICE needs none of it there; whoever wants it brings its servers.
    const servers = how.relay === 'udp' ? JSON.parse(this.server.token('--ice', ...who)).iceServers : undefined;
    await person.enter({ url: this.server.signal, token: this.server.token(...who), servers, ...how });
    return person;
  }

  async stop() {
    await this.browser?.close();
    this.site?.closeAllConnections();
    this.site?.close();
  }
}

/** Someone with a page of plain livekit-client. */
export class Person extends Ear {
  constructor(page, identity, seen) {
    super(page, 'room', identity);
    Object.assign(this, { identity, seen });
  }

  /** Joins with both media unless told otherwise, in the single layout. */
  async enter(how) {
    try {
      await this.page.evaluate((it) => window.enter(it), { layout: 'single', audio: true, video: true, ...how });
    } catch (error) {
      error.message += `\n${this.identity}'s console:\n${this.seen.console.slice(-30).join('\n')}`;
      throw error;
    }
  }

  /** Runs a function of (room, argument) in the page. */
  do(act, argument) {
    return this.page.evaluate(
      ([code, it]) => (0, eval)(`(${code})`)(window.room, it),
      [act.toString(), argument],
    );
  }

  say(words, options) {
    return this.page.evaluate(([it, how]) => window.say(it, how), [words, options]);
  }

  data() {
    return this.page.evaluate(() => window.data);
  }

  events() {
    return this.page.evaluate(() => window.events);
  }

  forget() {
    return this.page.evaluate(() => void (window.events.length = 0));
  }

  /** Waits for a room event, with all of `about` among what it is about. */
  told(name, ...about) {
    const match = (event) => event.name === name && about.every((part) => event.about.join(' ').includes(part));
    return until(`${this.identity} to be told ${name} ${about.join(' ')}`, async () => (await this.events()).find(match), {
      state: async () => (await this.events()).map((event) => `${event.name}(${event.about})`).slice(-60).join(' '),
    });
  }

  async close() {
    await this.page.context().close();
  }
}
