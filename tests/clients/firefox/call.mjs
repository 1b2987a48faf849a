// Runs inside the network namespace of firefox.test.mjs: one server, two browsers, one call. Throws if it fails.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import puppeteer from 'puppeteer-core';
import { launchChromium, watch } from '../harness/chromium.mjs';
import { Guest } from '../harness/guest.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/until.mjs';

const FIREFOX = process.env.FIREFOX_BIN ?? '/usr/bin/firefox-esr';
const profile = mkdtempSync(path.join(tmpdir(), 'konsil-firefox-'));
const closing = [() => rmSync(profile, { recursive: true, force: true, maxRetries: 5 })];

const guests = [];

function guest(...about) {
  const one = new Guest(...about);
  guests.push(one);
  return one;
}

async function firefox() {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: FIREFOX,
    headless: true,
    acceptInsecureCerts: true,
    userDataDir: profile,
    extraPrefsFirefox: {
      'intl.accept_languages': 'en',
      'media.navigator.streams.fake': true,
      'media.navigator.permission.disabled': true,
      'media.peerconnection.ice.obfuscate_host_addresses': false,
      'media.peerconnection.ice.loopback': true,
      'media.autoplay.default': 0,
    },
  });
  closing.push(() => browser.close());
  const page = await browser.newPage();
  await page.setViewport({ width: 1000, height: 700 });
  const seen = { console: [] };
  page.on('console', (message) => seen.console.push(message.text()));
  return guest(page, 'Fritz Firefox', seen);
}

async function chromium() {
  const browser = await launchChromium();
  closing.push(() => browser.close());
  const page = await browser.newPage();
  return guest(page, 'Carla Chromium', watch(page));
}

async function call(layout) {
  const server = await Server.start();
  closing.push(() => server.stop());
  const [carla, fritz] = await Promise.all([chromium(), firefox()]);
  await carla.enter(server.run.host_link, { layout });
  await fritz.enter(await carla.invite(), { layout });
  await Promise.all([carla.meets([fritz]), fritz.meets([carla])]);

  await fritz.click('mute-mic');
  await carla.sees('the muted microphone', 'tile', (it) => it.identity === fritz.identity && it.muted === 'true');
  await fritz.click('mute-mic');
  await carla.meets([fritz]);

  await fritz.page.evaluate(() => window.konsil.room.engine.client.ws.close());
  await fritz.sees('the connection come back', 'status', (it) => it.state === 'reconnected' || it.state === 'connected');
  await Promise.all([carla.meets([fritz]), fritz.meets([carla])]);

  await fritz.click('leave');
  await fritz.sees('a goodbye', 'goodbye', (it) => it.reason === 'left');
  await until('Fritz to be gone', async () => (await carla.see('tile')).length === 1);
  // The numbers are made a few times a second.
  await until('the metrics to show it', async () => (await server.metric('konsil_participants')) === 1);
}

try {
  await call(process.argv[2]);
} catch (error) {
  for (const guest of guests) {
    console.error(`${guest.name}: ${await guest.text().catch((gone) => gone.message)}\n${guest.seen.console.slice(-40).join('\n')}`);
  }
  throw error;
} finally {
  for (const close of closing.reverse()) await close();
}
