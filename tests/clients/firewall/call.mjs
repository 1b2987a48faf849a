// Runs inside the network namespace of firewall.test.mjs: a server on its two ports, two browsers behind a firewall.
// Throws if a call fails that must not.

import assert from 'node:assert/strict';
import { launchChromium, watch } from '../harness/chromium.mjs';
import { Guest } from '../harness/guest.mjs';
import { Network, OUTSIDE, SERVER } from '../harness/network.mjs';
import { Partner } from '../harness/partner.mjs';
import { Server } from '../harness/server.mjs';
import { until } from '../harness/until.mjs';

const CHROMIUM = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium';
const TLS_ONLY = ['tcp dport 443 accept'];
const TWO_PORTS = ['tcp dport 443 accept', 'udp dport 3478 accept'];
/** Media are back this soon after UDP died, in milliseconds. */
const BACK_WITHIN = 5_000;

const closing = [];
const guests = [];

async function guest(network, name) {
  const browser = await launchChromium({ executablePath: network.wrap(CHROMIUM), loopback: false });
  closing.push(() => browser.close());
  const page = await browser.newPage();
  const one = new Guest(page, name, watch(page));
  guests.push(one);
  return one;
}

/** How media leave the page: the selected pairs of its peer connections. */
const pairs = (one) =>
  one.page.evaluate(async () => {
    const { publisher, subscriber } = window.konsil.room.engine.pcManager;
    const all = [];
    for (const transport of [publisher, subscriber]) {
      const report = await transport?.getStats();
      report?.forEach((part) => {
        if (part.type !== 'transport' || !part.selectedCandidatePairId) return;
        const { candidateType, protocol, relayProtocol } = report.get(report.get(part.selectedCandidatePairId).localCandidateId);
        all.push({ candidateType, protocol, relayProtocol });
      });
    }
    return all;
  });

const isUdp = ({ protocol, candidateType, relayProtocol }) => (candidateType === 'relay' ? relayProtocol === 'udp' : protocol === 'udp');

async function meet(network, server) {
  const [anna, bert] = await Promise.all([guest(network, 'Anna'), guest(network, 'Bert')]);
  await anna.enter(server.run.host_link);
  await bert.enter(await anna.invite());
  await Promise.all([anna.meets([bert]), bert.meets([anna])]);
  return [anna, bert];
}

/** Two in a room of mode p2p. */
async function pair(network, server) {
  const made = await server.call('POST', '/v1/rooms', { body: { id: 'two', mode: 'p2p' } });
  assert.equal(made.status, 201, made.text);
  const link = async (role) => {
    const { pathname, hash } = new URL((await server.call('POST', '/v1/rooms/two/invitations', { body: { kind: 'link', role } })).json().link);
    return `https://${SERVER}${pathname}${hash}`;
  };
  const two = [];
  for (const [name, role] of [['Nora', 'host'], ['Otto', 'guest']]) {
    const browser = await launchChromium({ executablePath: network.wrap(CHROMIUM), loopback: false });
    closing.push(() => browser.close());
    const one = await Partner.open(browser, server, name);
    guests.push(one);
    two.push(one);
    await one.enter(await link(role));
  }
  await two[0].meets(two[1]);
  await two[1].meets(two[0]);
  for (const kind of ['audio', 'video']) {
    for (const direction of ['in', 'out']) {
      assert.equal(await server.metric(`konsil_rtp_packets_total{direction="${direction}",kind="${kind}"}`), 0, 'the SFU saw media');
    }
  }
  return two;
}

/** How media leave a page of a room of two. */
const way = (one) =>
  one.page.evaluate(async () => {
    const report = await window.konsil.p2p.connection.pc.getStats();
    for (const part of report.values()) {
      if (part.type !== 'transport' || !part.selectedCandidatePairId) continue;
      return report.get(report.get(part.selectedCandidatePairId).localCandidateId).relayProtocol;
    }
  });

/** What the page's own test says of each rung. */
async function rungs(network, server, ...rules) {
  network.allow(...rules);
  const one = await guest(network, 'Anna');
  await one.page.goto(server.run.host_link);
  await one.page.getByTestId('check-connection').click();
  const said = () =>
    one.page.evaluate(() => Object.fromEntries([...document.querySelectorAll('[data-testid="rung"]')].map((it) => [it.dataset.rung, it.dataset.state])));
  let states;
  await until('the test to end', async () => {
    states = await said();
    return Object.keys(states).length > 0 && !Object.values(states).includes('wait');
  }, { within: 60_000, state: said });
  const udp = await one.page.locator('[data-rung="turn-udp"]').innerText();
  const loop = await one.page.locator('[data-rung="relay-loop"]').innerText();
  await one.page.context().close();
  return { states, udp, loop };
}

const SCENES = {
  async 'the page tests the connection'(network, server) {
    const all = { https: 'ok', websocket: 'ok', 'turn-udp': 'ok', 'turn-tcp': 'ok', 'turn-tls': 'ok', 'relay-loop': 'ok' };
    const open = await rungs(network, server, ...TWO_PORTS);
    assert.deepEqual(open.states, all, JSON.stringify(open));
    assert.match(open.loop, /0 of 50 packets were lost/);
    const blocked = await rungs(network, server, ...TLS_ONLY);
    assert.deepEqual(blocked.states, { ...all, 'turn-udp': 'bad' }, JSON.stringify(blocked));
    assert.match(blocked.udp, /let 3478\/udp out to 203\.0\.113\.1/);
    // Nobody was in the room: a join would have made it, and it would still be there.
    assert.deepEqual((await server.call('GET', '/v1/rooms')).json().rooms, []);
  },

  async 'only 443/tcp, two people'(network, server) {
    network.allow(...TLS_ONLY);
    for (const one of await pair(network, server)) assert.match(await way(one), /^(tls|tcp)$/);
  },

  async 'two ports, two people'(network, server) {
    network.allow(...TWO_PORTS);
    const two = await pair(network, server);
    // A browser may begin with the way that answered first.
    await until('both by UDP', async () => (await Promise.all(two.map(way))).every((one) => one === 'udp'), { within: 20_000 });
  },

  async 'only 443/tcp'(network, server) {
    network.allow(...TLS_ONLY);
    const [anna, bert] = await meet(network, server);
    for (const pair of [...(await pairs(anna)), ...(await pairs(bert))]) assert.ok(!isUdp(pair), JSON.stringify(pair));
  },

  async 'two ports'(network, server) {
    network.allow(...TWO_PORTS);
    await directly(await meet(network, server));
  },

  async 'udp dies'(network, server) {
    // A machine that is busy with something else is slower: the best of three counts, and each must come back.
    const took = [];
    for (let round = 0; round < 3 && !took.some((ms) => ms <= BACK_WITHIN); round++) {
      network.allow(...TWO_PORTS);
      const two = await meet(network, server);
      await directly(two);
      took.push(await cut(network, two));
    }
    console.log(`media were back after ${took.join(', ')} ms`);
    assert.ok(Math.min(...took) <= BACK_WITHIN, `media took ${took.join(', ')} ms to come back`);
  },

  async 'a NAT rebinds'(network, server) {
    network.allow(...TWO_PORTS);
    network.translate(OUTSIDE[0]);
    const [anna, bert] = await meet(network, server);
    await directly([anna, bert]);
    network.translate(OUTSIDE[1]);
    const rebound = Date.now();
    // Its address is another one, and nobody told the browser: the server follows the next check.
    for (const [one, other] of [[anna, bert], [bert, anna]]) {
      const still = await frames(one, other);
      await until(`${one.name} to see ${other.name} again`, async () => (await frames(one, other)) > still + 30, { within: 20_000 });
    }
    console.log(`media were back after ${Date.now() - rebound} ms`);
    await directly([anna, bert]);
    await Promise.all([anna.meets([bert]), bert.meets([anna])]);
  },

  async 'a NAT rebinds, two people'(network, server) {
    network.allow(...TWO_PORTS);
    network.translate(OUTSIDE[0]);
    const two = await pair(network, server);
    network.translate(OUTSIDE[1]);
    const rebound = Date.now();
    // To the relay that is somebody else: the browsers take their relayed addresses by TCP, which no NAT forgot.
    for (const one of two) await one.receives('camera', { frames: 30 });
    console.log(`media were back after ${Date.now() - rebound} ms`);
  },
};

/** Waits until media of all go over UDP straight to the SFU: a browser may begin with the way that answered first. */
const directly = (all) =>
  until('media over UDP without the relay', async () => {
    const used = (await Promise.all(all.map(pairs))).flat();
    return used.length >= all.length && used.every((pair) => isUdp(pair) && pair.candidateType !== 'relay');
  }, { within: 20_000 });

const leave = (all) => Promise.all(all.map((one) => one.page.context().close()));

/** Takes UDP away from two in a call. Returns after how many milliseconds media were back. */
async function cut(network, [anna, bert]) {
  network.allow(...TLS_ONLY);
  const died = Date.now();
  const still = await frames(bert, anna);
  // Frames that were under way come at once; what comes after a pause is the new way's.
  await until('media over TCP', async () => !(await pairs(bert)).some(isUdp) && (await frames(bert, anna)) > still + 10, { within: 60_000 });
  const took = Date.now() - died;
  await Promise.all([anna.meets([bert]), bert.meets([anna])]);
  await leave([anna, bert]);
  return took;
}

async function frames(one, other) {
  const camera = (await one.received()).find(({ from, source }) => from === other.identity && source === 'camera');
  return camera?.frames ?? 0;
}

async function play(name) {
  const network = await Network.start();
  closing.push(() => network.stop());
  const server = await Server.start({
    listen: { KONSIL_HTTP_LISTEN: '[::]:443', KONSIL_MEDIA_UDP_LISTEN: '[::]:3478', KONSIL_MEDIA_ADVERTISE: SERVER },
  });
  closing.push(() => server.stop());
  await SCENES[name](network, server);
}

try {
  await play(process.argv[2]);
} catch (error) {
  for (const guest of guests) {
    console.error(`${guest.name}: ${await guest.text().catch((gone) => gone.message)}\n${guest.seen.console.slice(-40).join('\n')}`);
  }
  throw error;
} finally {
  for (const close of closing.reverse()) await close();
}
