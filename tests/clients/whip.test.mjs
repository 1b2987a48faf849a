// WHIP in and WHEP out by a browser's own RTCPeerConnection, with candidates that follow and ICE that begins anew.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ear } from './harness/media.mjs';
import { stage } from './harness/stage.mjs';
import { until } from './harness/until.mjs';

const { scene } = stage();
const quiet = { audio: false, video: false };
const FRAGMENT = 'application/trickle-ice-sdpfrag';
const CANDIDATE = 'a=candidate:1 1 udp 2122260223 192.0.2.1 61764 typ host\r\n';
const CREDENTIALS = 'a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n';

/** Offers without waiting for candidates, posts and takes the answer, as RFC 9725 has it; runs inside the page. */
async function begin({ url, token, publish }) {
  const connection = new RTCPeerConnection();
  const session = { connection, token, candidates: [] };
  Object.assign(window, { connection, session });
  session.gathered = new Promise((resolve) => (session.allGathered = resolve));
  connection.addEventListener('icecandidate', ({ candidate }) => {
    if (candidate?.candidate) session.candidates.push(candidate.candidate);
    else if (!candidate) session.allGathered();
  });
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
  const offer = await connection.createOffer();
  await connection.setLocalDescription(offer);
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/sdp' };
  const answer = await fetch(url, { method: 'POST', headers, body: offer.sdp });
  const text = await answer.text();
  const told = { status: answer.status, text, offered: offer.sdp };
  for (const name of ['content-type', 'location', 'etag', 'link']) told[name] = answer.headers.get(name);
  if (answer.status !== 201) return told;
  Object.assign(session, { url: new URL(told.location, url).href, etag: told.etag, answer: text });
  await connection.setRemoteDescription({ type: 'answer', sdp: text });
  return told;
}

/** Sends all candidates once they are gathered; runs inside the page. */
async function trickle() {
  const { session } = window;
  await session.gathered;
  const value = (name) => session.connection.localDescription.sdp.match(new RegExp(`^a=${name}:.*$`, 'm'))[0].trim();
  const lines = [value('ice-ufrag'), value('ice-pwd'), 'm=audio 9 UDP/TLS/RTP/SAVPF 0', value('mid')];
  const body = [...lines, ...session.candidates.map((one) => `a=${one}`), 'a=end-of-candidates', ''].join('\r\n');
  const headers = { authorization: `Bearer ${session.token}`, 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': session.etag };
  const answer = await fetch(session.url, { method: 'PATCH', headers, body });
  return { status: answer.status, etag: answer.headers.get('etag'), text: await answer.text(), sent: session.candidates.length };
}

/** Restarts ICE and waits until the new ICE session carries the connection; runs inside the page. */
async function restart() {
  const { session } = window;
  const { connection } = session;
  Object.assign(session, { candidates: [], gathered: new Promise((resolve) => (session.allGathered = resolve)) });
  await connection.setLocalDescription(await connection.createOffer({ iceRestart: true }));
  await session.gathered;
  const value = (name) => connection.localDescription.sdp.match(new RegExp(`^a=${name}:.*$`, 'm'))[0].trim();
  const lines = [value('ice-ufrag'), value('ice-pwd'), 'm=audio 9 UDP/TLS/RTP/SAVPF 0', value('mid')];
  const body = [...lines, ...session.candidates.map((one) => `a=${one}`), 'a=end-of-candidates', ''].join('\r\n');
  const headers = { authorization: `Bearer ${session.token}`, 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '*' };
  const answer = await fetch(session.url, { method: 'PATCH', headers, body });
  const text = await answer.text();
  const told = { status: answer.status, type: answer.headers.get('content-type'), before: session.etag, etag: answer.headers.get('etag'), text };
  if (answer.status !== 200) return told;
  const theirs = (name) => text.match(new RegExp(`^a=${name}:.*$`, 'm'))[0].trim();
  const kept = session.answer.split('\r\n').filter((line) => !/^a=(candidate|end-of-candidates)/.test(line));
  const sdp = kept.map((line) => line.replace(/^a=(ice-ufrag|ice-pwd):.*$/, (_, name) => theirs(name)));
  const first = sdp.findIndex((line) => line.startsWith('a=mid:'));
  sdp.splice(first + 1, 0, ...text.split('\r\n').filter((line) => /^a=(candidate|end-of-candidates)/.test(line)));
  Object.assign(session, { etag: told.etag, answer: sdp.join('\r\n') });
  await connection.setRemoteDescription({ type: 'answer', sdp: session.answer });
  told.ufrag = value('ice-ufrag').slice('a=ice-ufrag:'.length);
  return told;
}

/** The user name of the ICE session whose pair carries the connection now; runs inside the page. */
async function carrying() {
  const report = await window.connection.getStats();
  const transport = [...report.values()].find((one) => one.type === 'transport');
  const pair = report.get(transport?.selectedCandidatePairId);
  return report.get(pair?.localCandidateId)?.usernameFragment;
}

const end = ({ url, token }) => fetch(url, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } }).then((it) => it.status);

/** One request by fetch, whose answer's headers a foreign page may read; runs inside the page. */
async function ask({ url, method, headers = {}, body }) {
  const answer = await fetch(url, { method, headers, body });
  const told = { status: answer.status, text: await answer.text() };
  for (const name of ['content-type', 'etag', 'link', 'accept-post', 'accept-patch']) told[name] = answer.headers.get(name);
  return told;
}

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

/** What an answer must say besides its SDP. */
function complete(told) {
  assert.equal(told.status, 201, told.text);
  assert.match(told['content-type'], /^application\/sdp/);
  assert.match(told.etag, /^"[!-~]+"$/);
  assert.match(told.link, /^<turns:127\.0\.0\.1:\d+\?transport=tcp>; rel="ice-server"; username="[^"]+"; credential="[^"]+"; credential-type="password", <turn:/);
  assert.ok(!told.offered.includes('a=candidate:'), 'the offer waited for candidates');
}

/** Restarts ICE in a page and waits until media have moved to the new ICE session. */
async function restarted(page) {
  const told = await page.evaluate(restart);
  assert.equal(told.status, 200, told.text);
  assert.equal(told.type, FRAGMENT);
  assert.match(told.etag, /^"[!-~]+"$/);
  assert.notEqual(told.etag, told.before);
  for (const line of ['a=ice-lite', 'a=candidate:', 'a=end-of-candidates']) assert.ok(told.text.includes(line), told.text);
  await until('the new ICE session to carry the connection', async () => (await page.evaluate(carrying)) === told.ufrag, {
    state: () => page.evaluate(carrying),
  });
}

test('what WHIP publishes is seen and heard by livekit-client in both layouts', scene(async ({ join, open, server }) => {
  const anna = await join('whip', 'anna', { layout: 'single', ...quiet });
  const bert = await join('whip', 'bert', { layout: 'dual', ...quiet });
  const encoder = await open('encoder');
  const token = server.join('whip', 'encoder');
  const told = await encoder.page.evaluate(begin, { url: `${server.origin}/whip/whip`, token, publish: true });
  complete(told);
  const trickled = await encoder.page.evaluate(trickle);
  assert.deepEqual([trickled.status, trickled.etag, trickled.text], [204, null, '']);
  assert.ok(trickled.sent > 0, 'there was nothing to trickle');
  for (const person of [anna, bert]) {
    await person.told('participantConnected', 'encoder');
    await until('publications', () => person.do((it) => it.remoteParticipants.get('encoder').trackPublications.size === 2));
    await person.hears(['encoder camera', 'encoder microphone']);
  }
  for (let times = 0; times < 2; times += 1) {
    await restarted(encoder.page);
    for (const person of [anna, bert]) await person.hears(['encoder camera', 'encoder microphone']);
  }
  const url = new URL(told.location, server.origin).href;
  assert.equal(await encoder.page.evaluate(end, { url, token: server.join('whip', 'stranger') }), 404, 'a stranger ended it');
  assert.equal(await encoder.page.evaluate(end, { url, token }), 200);
  for (const person of [anna, bert]) await person.told('participantDisconnected', 'encoder');
}));

test('WHEP plays what livekit-client publishes', scene(async ({ join, open, server }) => {
  const anna = await join('whep', 'anna');
  await anna.told('localTrackPublished', 'camera');
  const viewer = await open('viewer');
  const token = server.join('whep', 'viewer', { canPublish: false });
  const told = await viewer.page.evaluate(begin, { url: `${server.origin}/whep/whep/anna`, token });
  complete(told);
  assert.equal((await viewer.page.evaluate(trickle)).status, 204);
  const player = new Player(viewer.page, '', 'anna');
  await player.hears(['anna camera', 'anna microphone']);
  await restarted(viewer.page);
  await player.hears(['anna camera', 'anna microphone']);
  const url = new URL(told.location, server.origin).href;
  assert.equal(await viewer.page.evaluate(end, { url, token }), 200);
  assert.equal(await viewer.page.evaluate(end, { url, token }), 404, 'ended twice');
}));

test('WHEP plays one track alone', scene(async ({ join, open, server }) => {
  const anna = await join('one', 'anna');
  await anna.told('localTrackPublished', 'camera');
  const sids = await until('both tracks', () => anna.do((it) => {
    const all = [...it.localParticipant.trackPublications.values()].map((one) => [one.source, one.trackSid]);
    return all.length === 2 && Object.fromEntries(all);
  }));
  const viewer = await open('viewer');
  const token = server.join('one', 'viewer');
  const told = await viewer.page.evaluate(begin, { url: `${server.origin}/whep/one/anna/${sids.camera}`, token });
  complete(told);
  const player = new Player(viewer.page, '', 'anna');
  await player.hears(['anna camera']);
  assert.deepEqual(told.text.match(/^a=msid:.*$/gm).map((line) => line.trim().split(' ')[1]), [sids.camera]);
  assert.ok((await player.received()).every((one) => one.source === 'camera' || one.energy === 0), 'sound came too');
  const none = await viewer.page.evaluate(begin, { url: `${server.origin}/whep/one/anna/TR_none`, token });
  assert.deepEqual([none.status, JSON.parse(none.text).type], [404, '/problems/track-not-found']);
}));

test('WHIP and WHEP refuse what they must', scene(async ({ open, server }) => {
  const page = (await open('stranger')).page;
  const url = `${server.origin}/whip/doors`;
  const status = async (how) => (await page.evaluate(begin, how)).status;
  assert.equal(await status({ url, token: 'nonsense', publish: true }), 401);
  assert.equal(await status({ url, token: server.join('elsewhere', 'x'), publish: true }), 403);
  assert.equal(await status({ url, token: server.join('doors', 'x', { canPublish: false }), publish: true }), 403);
  assert.equal(await status({ url, token: server.join('doors', 'x') }), 422, 'an offer that sends nothing');
  assert.equal(await status({ url: `${server.origin}/whep/doors/nobody`, token: server.join('doors', 'x') }), 404);
  const made = await server.call('POST', '/v1/rooms', { body: { id: 'sealed', mode: 'sfu', e2ee: 'required' } });
  assert.equal(made.status, 201, made.text);
  const sealed = await page.evaluate(begin, { url: `${server.origin}/whip/sealed`, token: server.join('sealed', 'x'), publish: true });
  assert.deepEqual([sealed.status, JSON.parse(sealed.text).type], [403, '/problems/encryption-required']);
  assert.match(sealed['content-type'], /^application\/problem\+json/);
}));

test('changes of ICE are refused as RFC 9725 has it, and options tell what is taken', scene(async ({ open, server }) => {
  const { page } = await open('encoder');
  const token = server.join('patch', 'encoder');
  const told = await page.evaluate(begin, { url: `${server.origin}/whip/patch`, token, publish: true });
  complete(told);
  const url = new URL(told.location, server.origin).href;
  const bearer = { authorization: `Bearer ${token}` };
  const fragment = { ...bearer, 'content-type': FRAGMENT };
  const now = { ...fragment, 'if-match': told.etag };
  const stranger = { ...now, authorization: `Bearer ${server.join('patch', 'stranger')}` };
  const elsewhere = new URL('PA_none', url).href;
  const cases = [
    ['no token', { url, headers: { 'content-type': FRAGMENT, 'if-match': '*' }, body: CANDIDATE }, 401],
    ['a stranger', { url, headers: stranger, body: CANDIDATE }, 404],
    ['no such session', { url: elsewhere, headers: now, body: CANDIDATE }, 404],
    ['an address of WHEP', { url: url.replace('/whip/patch/', '/whep/patch/encoder/'), headers: now, body: CANDIDATE }, 404],
    ['another type', { url, headers: { ...now, 'content-type': 'application/sdp' }, body: CANDIDATE }, 415],
    ['no If-Match', { url, headers: fragment, body: CANDIDATE }, 428],
    ['an old ETag', { url, headers: { ...now, 'if-match': '"old"' }, body: CANDIDATE }, 412],
    ['no fragment', { url, headers: now, body: 'v=0\r\n' }, 400],
    ['half of the credentials', { url, headers: now, body: 'a=ice-ufrag:EsAw\r\n' }, 400],
    ['too long', { url, headers: now, body: 'a=x\r\n'.repeat(8000) }, 413],
    ['too many candidates', { url, headers: now, body: CANDIDATE.repeat(101) }, 413],
  ];
  for (const [name, how, status] of cases) {
    const answer = await page.evaluate(ask, { method: 'PATCH', ...how });
    assert.equal(answer.status, status, `${name}: ${answer.text}`);
    assert.equal(JSON.parse(answer.text).status, status, name);
    assert.equal(answer['accept-patch'], status === 415 ? FRAGMENT : null, name);
  }
  for (const method of ['GET', 'HEAD']) assert.equal((await page.evaluate(ask, { url, method, headers: bearer })).status, 405, method);
  // A browser does not even ask for what the preflight leaves out.
  const put = await server.call('PUT', url, { token });
  assert.deepEqual([put.status, put.json().type], [405, '/problems/method-not-allowed']);
  const posted = await page.evaluate(ask, { url: `${server.origin}/whip/patch`, method: 'POST', headers: fragment, body: CANDIDATE });
  assert.deepEqual([posted.status, posted['accept-post']], [415, 'application/sdp']);
  // Whatever was refused, the session goes on.
  assert.equal((await page.evaluate(trickle)).status, 204);
  const again = await page.evaluate(ask, { url, method: 'PATCH', headers: { ...fragment, 'if-match': '*' }, body: CREDENTIALS });
  assert.equal(again.status, 200, again.text);
  assert.equal((await page.evaluate(ask, { url, method: 'PATCH', headers: now, body: CANDIDATE })).status, 412, 'of before the restart');
  const options = await page.evaluate(ask, { url: `${server.origin}/whip/patch`, method: 'OPTIONS', headers: bearer });
  assert.deepEqual([options.status, options['accept-post']], [204, 'application/sdp']);
  assert.match(options.link, /rel="ice-server"; username="/);
  assert.equal(await page.evaluate(end, { url, token }), 200);
  assert.equal((await page.evaluate(ask, { url, method: 'PATCH', headers: { ...fragment, 'if-match': '*' }, body: CANDIDATE })).status, 404);
}));
