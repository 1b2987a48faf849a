// WHIP in and WHEP out by a browser's own RTCPeerConnection.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ear } from './harness/media.mjs';
import { stage } from './harness/stage.mjs';
import { until } from './harness/until.mjs';

const { scene } = stage();
const quiet = { audio: false, video: false };

/** Offers, posts and takes the answer, as RFC 9725 has it; runs inside the page. */
async function begin({ url, token, publish }) {
  const connection = new RTCPeerConnection();
  window.connection = connection;
  if (publish) {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360, frameRate: 15 } });
    for (const track of stream.getTracks()) connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
  } else {
    for (const kind of ['audio', 'video']) connection.addTransceiver(kind, { direction: 'recvonly' });
    connection.addEventListener('track', ({ track }) => {
      const element = document.createElement(track.kind);
      element.autoplay = true;
      element.srcObject = new MediaStream([track]);
      document.body.append(element);
    });
  }
  await connection.setLocalDescription();
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/sdp' };
  const answer = await fetch(url, { method: 'POST', headers, body: connection.localDescription.sdp });
  const text = await answer.text();
  const told = { status: answer.status, type: answer.headers.get('content-type'), location: answer.headers.get('location'), text };
  if (answer.status === 201) await connection.setRemoteDescription({ type: 'answer', sdp: text });
  return told;
}

const end = ({ url, token }) => fetch(url, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } }).then((it) => it.status);

/** A WHEP player measured like a room: its receivers are streams of one person. */
class Player extends Ear {
  async received() {
    return this.page.evaluate(async (from) => {
      const all = [];
      const report = await window.connection.getStats();
      report.forEach((part) => {
        if (part.type !== 'inbound-rtp') return;
        const source = part.kind === 'video' ? 'camera' : 'microphone';
        all.push({ from, source, id: part.id, frames: part.framesDecoded ?? 0, energy: part.totalAudioEnergy ?? 0 });
      });
      return all;
    }, this.name);
  }
}

test('what WHIP publishes is seen and heard by livekit-client in both layouts', scene(async ({ join, open, server }) => {
  const anna = await join('whip', 'anna', { layout: 'single', ...quiet });
  const bert = await join('whip', 'bert', { layout: 'dual', ...quiet });
  const encoder = await open('encoder');
  const token = server.join('whip', 'encoder');
  const told = await encoder.page.evaluate(begin, { url: `${server.origin}/whip/whip`, token, publish: true });
  assert.equal(told.status, 201, told.text);
  assert.match(told.type, /^application\/sdp/);
  for (const person of [anna, bert]) {
    await person.told('participantConnected', 'encoder');
    await until('publications', () => person.do((it) => it.remoteParticipants.get('encoder').trackPublications.size === 2));
    const rising = new Set();
    await until(`${person.name} to see and hear the encoder`, async () => {
      for (const one of await person.received()) if (one.frames > 10 || one.energy > 0.01) rising.add(one.id);
      return rising.size === 2;
    }, { state: () => person.received() });
  }
  const url = new URL(told.location, server.origin).href;
  assert.equal(await encoder.page.evaluate(end, { url, token: server.join('whip', 'stranger') }) >= 400, true, 'a stranger ended it');
  assert.equal(await encoder.page.evaluate(end, { url, token }), 200);
  for (const person of [anna, bert]) await person.told('participantDisconnected', 'encoder');
}));

test('WHEP plays what livekit-client publishes', scene(async ({ join, open, server }) => {
  const anna = await join('whep', 'anna');
  await anna.told('localTrackPublished', 'camera');
  const viewer = await open('viewer');
  const token = server.join('whep', 'viewer', { canPublish: false });
  const told = await viewer.page.evaluate(begin, { url: `${server.origin}/whep/whep/anna`, token });
  assert.equal(told.status, 201, told.text);
  const player = new Player(viewer.page, '', 'anna');
  await player.hears(['anna camera', 'anna microphone']);
  const url = new URL(told.location, server.origin).href;
  assert.equal(await viewer.page.evaluate(end, { url, token }), 200);
  assert.equal(await viewer.page.evaluate(end, { url, token }) >= 400, true, 'ended twice');
}));

test('WHIP and WHEP refuse what they must', scene(async ({ open, server }) => {
  const page = (await open('stranger')).page;
  const url = `${server.origin}/whip/doors`;
  const status = async (how) => (await page.evaluate(begin, how)).status;
  assert.equal(await status({ url, token: 'nonsense', publish: true }), 401);
  assert.equal(await status({ url, token: server.join('elsewhere', 'x'), publish: true }), 403);
  assert.equal(await status({ url, token: server.join('doors', 'x', { canPublish: false }), publish: true }), 403);
  assert.equal(await status({ url: `${server.origin}/whep/doors/nobody`, token: server.join('doors', 'x') }), 404);
  const made = await server.call('POST', '/v1/rooms', { body: { id: 'sealed', mode: 'sfu', e2ee: 'required' } });
  assert.equal(made.status, 201, made.text);
  assert.equal(await status({ url: `${server.origin}/whip/sealed`, token: server.join('sealed', 'x'), publish: true }) >= 400, true);
}));
