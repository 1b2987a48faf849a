// TANs, links for one device, and the door that they open, on the real server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Server } from './harness/server.mjs';

let server;
before(async () => (server = await Server.start()));
after(() => server?.stop());

const secret = (text) => {
  server.secrets.add(text);
  return text;
};

async function invite(room, body, status = 201) {
  const answer = await server.call('POST', `/v1/rooms/${room}/invitations`, { body: { role: 'guest', ...body } });
  assert.equal(answer.status, status, answer.text);
  const made = answer.json();
  if (made.tan) secret(made.tan);
  return made;
}

async function room(id, more = {}) {
  const answer = await server.call('POST', '/v1/rooms', { body: { id, mode: 'sfu', ...more } });
  assert.equal(answer.status, 201, answer.text);
}

/** Comes with nothing but what the body says. */
const come = (body) => server.call('POST', '/v1/join', { token: 'nobody', body });

async function comesIn(body) {
  const answer = await come(body);
  assert.equal(answer.status, 200, answer.text);
  const admission = answer.json();
  for (const text of [admission.token, admission.resume]) if (text) secret(text);
  return admission;
}

async function refused(body, status, problem) {
  const answer = await come(body);
  assert.deepEqual([answer.status, answer.json().type], [status, `/problems/${problem}`], answer.text);
  return answer;
}

const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));

test('a TAN made by the API opens one door for one device', async () => {
  await room('tan');
  const { tan, id, server_knew } = await invite('tan', { kind: 'tan' });
  assert.match(tan, /^[0-9A-HJKMNP-TV-Z]{4}(-[0-9A-HJKMNP-TV-Z]{4}){2}$/);
  assert.equal(server_knew, true);
  const typed = ` ${tan.toLowerCase().replaceAll('-', ' ')} `;
  const admission = await comesIn({ tenant: 'default', tan: typed });
  assert.deepEqual([admission.state, admission.mode, admission.room], ['admitted', 'sfu', 'tan']);
  assert.match(admission.desk, /^wss:.*\/v1\/desk$/);
  const joined = await server.call('GET', '/rtc/validate', { token: admission.token });
  assert.equal(joined.text, 'success');

  await refused({ tenant: 'default', tan }, 410, 'tan-used');
  await refused({ tenant: 'default', tan: tan.slice(0, 7) }, 410, 'tan-used');
  await refused({ tenant: 'elsewhere', tan }, 404, 'tan-unknown');
  const again = await comesIn({ resume: admission.resume });
  assert.equal(claims(again.token).sub, claims(admission.token).sub);
  assert.equal(again.resume, undefined);

  const { invitations } = (await server.call('GET', '/v1/rooms/tan/invitations')).json();
  assert.deepEqual(invitations.map((one) => [one.id, one.kind, one.state]), [[id, 'tan', 'used']]);
  assert.equal((await server.call('DELETE', `/v1/rooms/tan/invitations/${id}`)).status, 204);
  await refused({ resume: admission.resume }, 410, 'tan-expired');
});

test('a typing error is told as such', async () => {
  await room('typo');
  const { tan } = await invite('typo', { kind: 'tan' });
  const last = tan.at(-1) === '0' ? '1' : '0';
  for (let turn = 0; turn < 400; turn++) await refused({ tenant: 'default', tan: tan.slice(0, -1) + last }, 422, 'tan-typo');
  await comesIn({ tenant: 'default', tan });
});

test('a TAN of a browser is known by its first half alone', async () => {
  await room('browser');
  const body = { kind: 'tan', admit: secret('7KQ2M9'), sealed: secret('c2VhbGVkLWluLWEtYnJvd3Nlcg'), pending: true };
  const { id, server_knew } = await invite('browser', body);
  assert.equal(server_knew, false);
  assert.equal((await server.call('POST', '/v1/rooms/browser/invitations', { body: { role: 'guest', ...body } })).status, 409);
  assert.equal((await server.call('POST', `/v1/rooms/browser/invitations/${id}/confirm`)).status, 204);
  const { invitations } = (await server.call('GET', '/v1/rooms/browser/invitations')).json();
  assert.deepEqual([invitations[0].state, invitations[0].sealed], ['open', body.sealed]);
  await comesIn({ tenant: 'default', tan: '7kq-2m9' });
});

test('times are kept', async () => {
  await room('times');
  const now = Math.floor(Date.now() / 1000);
  const { tan } = await invite('times', { kind: 'tan', not_before: now + 3600, not_after: now + 7200 });
  const answer = await refused({ tenant: 'default', tan }, 409, 'tan-early');
  assert.equal(answer.json().not_before, now + 3600);
  await invite('times', { kind: 'tan', role: 'host' }, 422);
});

test('a link for one device is spent by its exchange', async () => {
  await room('single');
  const { link } = await invite('single', { kind: 'link', single_use: true });
  const token = secret(link.split('#t=')[1]);
  assert.equal((await server.call('GET', '/rtc/validate', { token })).status, 403, 'it lets nobody in by itself');
  const { resume } = await comesIn({ invitation: token });
  await refused({ invitation: token }, 410, 'tan-used');
  await comesIn({ resume });
});

test('guessing is stopped, and whoever is in stays', async () => {
  await room('guessed');
  const { tan } = await invite('guessed', { kind: 'tan' });
  const { resume } = await comesIn({ tenant: 'default', tan });
  const { tan: later } = await invite('guessed', { kind: 'tan' });
  let tries = 0;
  let answer;
  do {
    answer = await come({ tenant: 'default', tan: '000000' });
    tries += 1;
  } while (answer.status === 404 && tries < 400);
  assert.equal(answer.status, 429, answer.text);
  assert.equal(answer.json().type, '/problems/too-many-tries');
  assert.ok(Number(answer.headers['retry-after']) > 0);
  assert.ok(tries > 200 && tries <= 251, `${tries}`);
  await refused({ tenant: 'default', tan: later }, 429, 'too-many-tries');
  await comesIn({ resume });
  assert.ok((await server.metric('konsil_invitation_tries_total{result="unknown"}')) >= 200);
});
