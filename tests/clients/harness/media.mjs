// Whether media arrive, by a page's own statistics.

import assert from 'node:assert/strict';
import { until } from './until.mjs';

/** What a rising stream must gain while it is watched. */
const FRAMES = 10;
const ENERGY = 1e-4;

/**
 * One entry for each remote publication, from the room at `window[hook]`; runs inside the page.
 * `id` changes when a stream begins anew, so that counters are never compared across streams.
 */
async function receivedInPage(hook) {
  const room = hook.split('.').reduce((object, name) => object?.[name], window);
  const all = [];
  for (const person of room?.remoteParticipants.values() ?? []) {
    for (const publication of person.trackPublications.values()) {
      const one = { from: person.identity, source: publication.source, muted: publication.isMuted, encrypted: publication.isEncrypted };
      const report = await publication.track?.receiver?.getStats();
      const codecs = new Map();
      report?.forEach((part) => part.type === 'codec' && codecs.set(part.id, part.mimeType));
      report?.forEach((part) => {
        if (part.type !== 'inbound-rtp') return;
        Object.assign(one, {
          id: `${publication.trackSid} ${part.id} ${part.ssrc}`,
          frames: part.framesDecoded ?? 0,
          energy: part.totalAudioEnergy ?? 0,
          packets: part.packetsReceived,
          width: part.frameWidth,
          height: part.frameHeight,
          codec: codecs.get(part.codecId),
          lost: part.packetsLost,
          plis: part.pliCount,
          freezes: part.freezeCount,
          frozen: part.totalFreezesDuration,
          samples: part.totalSamplesReceived,
          concealed: part.concealedSamples - part.silentConcealedSamples,
        });
      });
      all.push(one);
    }
  }
  return all;
}

/** Someone whose page has a LiveKit room at `window[hook]`. */
export class Ear {
  constructor(page, hook, name) {
    Object.assign(this, { page, hook, name });
  }

  received() {
    return this.page.evaluate(receivedInPage, this.hook);
  }

  /**
   * Waits until every wanted stream has risen from where it was first seen: decoded frames of video, energy of audio.
   * `wanted` are texts such as "anna camera", "anna microphone", "anna screen_share".
   */
  async hears(wanted, { within = 30_000, frames = FRAMES } = {}) {
    const first = new Map();
    let last = [];
    const risen = (one) => {
      if (!first.has(one.id)) first.set(one.id, one);
      const base = first.get(one.id);
      return one.frames - base.frames >= frames || one.energy - base.energy >= ENERGY;
    };
    const good = new Set();
    await until(
      `${this.name} to receive ${wanted.join(', ')}`,
      async () => {
        last = (await this.received()).filter((one) => one.id);
        for (const one of last) if (risen(one)) good.add(`${one.from} ${one.source}`);
        return wanted.every((name) => good.has(name));
      },
      { within, state: () => ({ risen: [...good], streams: last }) },
    );
    return last;
  }

  /**
   * Waits until streams stand still while another one, at any listener, gains `frames` frames.
   * What was under way at first may still arrive, so several such whiles are tried.
   */
  async silent(still, during, { frames = 30, tries = 5 } = {}) {
    const pick = async () => (await this.received()).filter((one) => still.includes(`${one.from} ${one.source}`));
    const moved = [];
    for (let turn = 0; turn < tries; turn++) {
      const before = await pick();
      await during.ear.hears(during.wanted, { frames });
      const gains = (await pick()).map((now) => gain(before, now)).filter(({ frames, energy }) => frames > 1 || energy >= ENERGY);
      if (gains.length === 0) return;
      moved.push(gains);
    }
    assert.fail(`${this.name} goes on receiving what should be still: ${JSON.stringify(moved)}`);
  }

  /** RTP packets that reached the page's browser over any peer connection of the room. */
  packetsIn() {
    return this.page.evaluate(async (hook) => {
      const room = hook.split('.').reduce((object, name) => object?.[name], window);
      let sum = 0;
      for (const transport of [room.engine.pcManager.publisher, room.engine.pcManager.subscriber]) {
        const report = await transport?.getStats();
        report?.forEach((part) => part.type === 'inbound-rtp' && (sum += part.packetsReceived));
      }
      return sum;
    }, this.hook);
  }
}

function gain(before, now) {
  const base = before.find((one) => one.id === now.id);
  return {
    stream: `${now.from} ${now.source}`,
    frames: (now.frames ?? 0) - (base?.frames ?? 0),
    energy: (now.energy ?? 0) - (base?.energy ?? 0),
  };
}
