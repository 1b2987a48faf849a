// One server, a Firefox beside a Chromium, each with one page.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import puppeteer from 'puppeteer-core';
import { launchChromium, watch } from '../harness/chromium.mjs';
import { Server } from '../harness/server.mjs';

const FIREFOX = process.env.FIREFOX_BIN ?? '/usr/bin/firefox-esr';

/** Runs `act` with a server and one `Kind` of guest in each browser, and tells what the pages said if it fails. */
export async function inBoth(Kind, act) {
  const profile = mkdtempSync(path.join(tmpdir(), 'konsil-firefox-'));
  const closing = [() => rmSync(profile, { recursive: true, force: true, maxRetries: 5 })];
  const guests = [];
  const guest = (...about) => {
    const one = new Kind(...about);
    guests.push(one);
    return one;
  };

  const firefox = async () => {
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
    const seen = { console: [], sockets: [] };
    page.on('console', (message) => seen.console.push(message.text()));
    return guest(page, 'Fritz Firefox', seen);
  };

  const chromium = async () => {
    const browser = await launchChromium();
    closing.push(() => browser.close());
    const page = await browser.newPage();
    return guest(page, 'Carla Chromium', watch(page));
  };

  try {
    const server = await Server.start();
    closing.push(() => server.stop());
    const [carla, fritz] = await Promise.all([chromium(), firefox()]);
    await act({ server, carla, fritz });
  } catch (error) {
    for (const one of guests) {
      console.error(`${one.name}: ${await one.text().catch((gone) => gone.message)}\n${one.seen.console.slice(-40).join('\n')}`);
    }
    throw error;
  } finally {
    for (const close of closing.reverse()) await close();
  }
}
