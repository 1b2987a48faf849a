// Someone in front of the built-in page in a room of two.

import assert from 'node:assert/strict';
import { watch } from './chromium.mjs';
import { Guest } from './guest.mjs';
import { until } from './until.mjs';

const SLOTS = ['microphone', 'camera', 'screen', 'screenAudio'];
const ENERGY = 1e-4;

export class Partner extends Guest {
  static async open(browser, server, name, { locale = 'en-GB', viewport = { width: 1280, height: 800 } } = {}) {
    const context = await browser.newContext({ locale, viewport, ignoreHTTPSErrors: true });
    const page = await context.newPage();
    server.secrets.add(name);
    return new Partner(page, name, watch(page));
  }

  async enter(link) {
    await this.page.goto(link);
    await this.join();
  }

  /** Goes in from the device page, with a name unless it still stands there. */
  async join({ fresh = true } = {}) {
    await this.sees('the microphone on', 'setup-mic', (it) => it.on === 'true');
    await this.sees('the camera on', 'setup-cam', (it) => it.on === 'true');
    if (fresh) await this.at('name-input').fill(this.name);
    await this.click('join');
    const own = await this.sees('the own tile', 'tile', (it) => it.local === 'true');
    this.identity = own.identity;
    await this.sees('the call', 'status', (it) => it.state === 'connected' || it.state === 'reconnected');
  }

  /** Waits until the other's picture and sound arrive, and its name stands on its tile. */
  async meets(other) {
    await until(`${this.name} to be connected`, async () => (await this.present()) && (await this.standing()) === 'connected', {
      state: () => this.state(),
    });
    for (const slot of ['camera', 'microphone']) await this.receives(slot);
    await this.sees(`the name ${other.name}`, 'tile', (it) => it.identity === 'partner' && it.text.includes(other.name));
    await until('a picture', async () => (await this.shownVideos('partner')) === 1);
    await this.sees('the safety code', 'safety-code', (it) => it.text !== '');
  }

  standing() {
    return this.page.evaluate(() => window.konsil?.p2p?.standing);
  }

  present() {
    return this.page.evaluate(() => window.konsil?.p2p?.present);
  }

  session() {
    return this.page.evaluate(() => window.konsil.p2p.signal.session);
  }

  async code() {
    return (await this.see('safety-code'))[0]?.text;
  }

  allText() {
    return this.page.evaluate(() => document.body.innerText);
  }

  state() {
    return this.page
      .evaluate(() => {
        const { standing, connection } = window.konsil.p2p;
        const pc = connection?.pc;
        return { standing, pc: [pc?.connectionState, pc?.iceConnectionState, pc?.iceGatheringState, pc?.signalingState] };
      })
      .then(async (it) => ({ ...it, console: this.seen.console.slice(-20), page: await this.text(), words: this.words().map((w) => w.slice(0, 200)) }));
  }

  shownVideos(identity) {
    return this.page.evaluate(
      (wanted) =>
        [...document.querySelectorAll(`[data-testid="tile"][data-identity="${wanted}"] video`)].filter((it) => !it.hidden && it.videoWidth > 0)
          .length,
      identity,
    );
  }

  /** What has arrived in a slot: frames, energy, packets. */
  arrived(slot) {
    return this.page.evaluate(async (index) => {
      const report = await window.konsil.p2p.connection?.slots[index]?.receiver.getStats();
      const sum = { frames: 0, energy: 0, packets: 0 };
      report?.forEach((part) => {
        if (part.type !== 'inbound-rtp') return;
        sum.frames += part.framesDecoded ?? 0;
        sum.energy += part.totalAudioEnergy ?? 0;
        sum.packets += part.packetsReceived ?? 0;
      });
      return sum;
    }, SLOTS.indexOf(slot));
  }

  async receives(slot, { frames = 10 } = {}) {
    let first;
    await until(
      `${this.name} to receive ${slot}`,
      async () => {
        const now = await this.arrived(slot);
        // Counters begin anew with a new connection.
        if (!first || now.packets < first.packets) first = now;
        return now.frames - first.frames >= frames || now.energy - first.energy >= ENERGY;
      },
      { state: () => this.state() },
    );
  }

  /** Checks that a slot stands still while another one goes on. */
  async silent(still, going, { tries = 5 } = {}) {
    const moved = [];
    for (let turn = 0; turn < tries; turn++) {
      const before = await this.arrived(still);
      for (let times = 0; times < 3; times++) await this.receives(going);
      const now = await this.arrived(still);
      if (now.frames - before.frames <= 1 && now.energy - before.energy < ENERGY) return;
      moved.push([before, now]);
    }
    assert.fail(`${this.name} goes on receiving ${still}: ${JSON.stringify(moved)}`);
  }

  /** The kinds of the two candidates that carry the call. */
  pair() {
    return until(`${this.name} to have a way`, () =>
      this.page.evaluate(async () => {
        const report = await window.konsil.p2p.connection.pc.getStats();
        const all = [...report.values()];
        const transport = all.find((it) => it.type === 'transport');
        const pair = report.get(transport?.selectedCandidatePairId);
        return pair && { local: report.get(pair.localCandidateId).candidateType, remote: report.get(pair.remoteCandidateId).candidateType };
      }),
    );
  }

  relayProtocol() {
    return this.page.evaluate(async () => {
      const report = await window.konsil.p2p.connection.pc.getStats();
      const transport = [...report.values()].find((it) => it.type === 'transport');
      return report.get(report.get(transport.selectedCandidatePairId).localCandidateId).relayProtocol;
    });
  }

  /** All words of this page's p2p signalling, both ways. */
  words() {
    return this.signalling().flatMap(({ sent, heard }) => [...sent, ...heard].map(String));
  }

  signalling() {
    return this.seen.sockets.filter(({ url }) => new URL(url).pathname === '/v1/p2p');
  }

  /** Checks that the server told this page nothing of where the other is. */
  learnsNoAddress() {
    const heard = this.signalling().flatMap((socket) => socket.heard.map(String));
    const told = heard.filter((text) => /^\{"type":"(description|candidate)"/.test(text));
    assert.ok(told.length > 1, 'the other page described itself');
    for (const text of told) assert.doesNotMatch(text, /127\.0\.0\.1|::1|\.local\b|typ (host|srflx|prflx)|network-/);
  }

  descriptions() {
    return this.words().filter((text) => text.includes('"type":"description"')).length;
  }

  /** The ICE servers with the credentials that were told last. */
  credentials() {
    return this.page.evaluate(() => window.konsil.p2p.news.ice_servers);
  }

  /** How many relayed addresses these credentials still get. */
  allocates(iceServers) {
    return this.page.evaluate(async (servers) => {
      const pc = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: 'relay' });
      pc.createDataChannel('x');
      let found = 0;
      pc.onicecandidate = ({ candidate }) => (found += candidate?.candidate ? 1 : 0);
      const over = new Promise((resolve) => {
        pc.onicegatheringstatechange = () => pc.iceGatheringState === 'complete' && resolve();
      });
      await pc.setLocalDescription();
      await over;
      pc.close();
      return found;
    }, iceServers);
  }
}
