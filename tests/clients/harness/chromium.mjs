// Debian's Chromium with its fake camera and microphone.

import { chromium } from 'playwright-core';

const EXECUTABLE = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium';
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream=device-count=2',
  '--use-fake-ui-for-media-stream',
  '--auto-select-desktop-capture-source=Entire screen',
  '--autoplay-policy=no-user-gesture-required',
  '--ignore-certificate-errors',
];
// Without it ICE gathering on loopback never ends.
const LOOPBACK = '--allow-loopback-in-peer-connection';

export function launchChromium({ executablePath = EXECUTABLE, loopback = true } = {}) {
  return chromium.launch({ executablePath, args: loopback ? [...ARGS, LOOPBACK] : ARGS });
}

/** Notes what a page says and asks for, for messages and for checks. */
export function watch(page) {
  const seen = { console: [], requests: [], sockets: [] };
  page.on('console', (message) => seen.console.push(`${message.type()}: ${message.text().slice(0, 400)}`));
  page.on('pageerror', (error) => seen.console.push(`page error: ${error.message}`));
  page.on('request', (request) => {
    seen.requests.push({ url: request.url(), method: request.method(), headers: request.headers(), body: request.postData() ?? '' });
  });
  page.on('websocket', (socket) => {
    const one = { url: socket.url(), sent: [], heard: [] };
    seen.sockets.push(one);
    socket.on('framesent', ({ payload }) => one.sent.push(Buffer.from(payload)));
    socket.on('framereceived', ({ payload }) => one.heard.push(Buffer.from(payload)));
  });
  return seen;
}
