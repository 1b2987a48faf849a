// Records what livekit-client's worker seals, as Chromium packs it: RTP payloads of all layers, for a test that replays them.
//
//     node record.mjs [codec …]
//
// Makes tests/data/sealed-{vp8,h264,vp9}.rtp anew. A packet is: layer (u8), marker (u8), sequence number (u16), timestamp (u32),
// milliseconds since the first (u16), length of the payload (u16), payload; all numbers big-endian.

import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as passed } from 'node:timers/promises';
import { EXECUTABLE, launchChromium } from './harness/chromium.mjs';
import { Plain } from './harness/plain.mjs';
import { Server } from './harness/server.mjs';
import { until } from './harness/until.mjs';

const DATA = path.resolve(import.meta.dirname, '../data');
const KEY = 'the key of the recording';
/** libwebrtc writes each packet into its log before it seals it by SRTP. */
const DUMP = ['--enable-logging=stderr', '--vmodule=*/webrtc/*=9', '--force-fieldtrials=WebRTC-Debugging-RtpDump/Enabled/'];
/** Small rates make a small file. */
const at = (maxBitrate) => ({ maxBitrate, maxFramerate: 15 });
const PUBLISH = {
  simulcast: true,
  videoEncoding: at(200_000),
  videoSimulcastLayers: [
    { width: 240, height: 135, encoding: at(50_000) },
    { width: 480, height: 270, encoding: at(90_000) },
  ],
};
const SIZE = { width: 960, height: 540, frameRate: 15 };
const LAYERS = { q: 0, h: 1 };
/** Each layer is asked for in turn, so that each begins with a keyframe several times. */
const TURNS = [0, 1, 2, 0, 1, 2, 0];
const TURN_MS = 700;

const folder = mkdtempSync(path.join(tmpdir(), 'konsil-record-'));
const log = path.join(folder, 'log');
const chromium = path.join(folder, 'chromium');
writeFileSync(chromium, `#!/bin/sh\nexec "${EXECUTABLE}" "$@" 2>>"${log}"\n`);
chmodSync(chromium, 0o700);

const server = await Server.start();
const plain = await Plain.start(server, () => launchChromium({ executablePath: chromium, more: DUMP }));
try {
  const codecs = process.argv.length > 2 ? process.argv.slice(2) : ['vp8', 'h264', 'vp9'];
  for (const videoCodec of codecs) await record(videoCodec);
} finally {
  await plain.stop();
  await server.stop();
  rmSync(folder, { recursive: true });
}

async function record(videoCodec) {
  const anna = await plain.join(videoCodec, 'anna', { key: KEY, audio: false, size: SIZE, publish: { ...PUBLISH, videoCodec } });
  const bert = await plain.join(videoCodec, 'bert', { key: KEY, audio: false, video: false });
  const shown = async () => (await bert.received()).find((one) => one.source === 'camera');
  // VP9 goes whole, as large as so little carries.
  const ready = async () => ((one) => (videoCodec === 'vp9' ? one?.frames > 100 : one?.height === SIZE.height))(await shown());
  await until('the large picture', ready, { within: 60_000, state: shown });
  const streams = await anna.do(sent);
  const from = statSync(log).size;
  // Who comes later needs a keyframe of what has no layers, too.
  const cleo = await plain.join(videoCodec, 'cleo', { key: KEY, audio: false, video: false });
  for (const quality of TURNS) {
    await bert.do((room, it) => room.remoteParticipants.get('anna').getTrackPublication('camera').setVideoQuality(it), quality);
    await passed(TURN_MS);
  }
  const packets = readFileSync(log).subarray(from).toString('latin1').split('\n').map(packet).filter(Boolean);
  const kept = packets.filter(({ ssrc, pt, payload }) => payload.length > 0 && streams[ssrc]?.pt === pt);
  const bytes = Buffer.concat(kept.map((one) => entry(one, LAYERS[streams[one.ssrc].rid] ?? 2, kept[0].ms)));
  writeFileSync(path.join(DATA, `sealed-${videoCodec}.rtp`), bytes);
  const layers = new Set(kept.map(({ ssrc }) => ssrc)).size;
  assert.equal(layers, videoCodec === 'vp9' ? 1 : 3, `${layers} layers of ${videoCodec}`);
  console.log(`${videoCodec}: ${layers} layers, ${kept.length} packets, ${bytes.length} bytes`);
  await Promise.all([anna, bert, cleo].map((person) => person.close()));
}

/** Anna's streams of pictures by SSRC; runs in the page. */
async function sent(room) {
  const streams = {};
  const report = await room.localParticipant.getTrackPublication('camera').track.sender.getStats();
  report.forEach(({ type, ssrc, rid, codecId }) => {
    if (type === 'outbound-rtp' && codecId) streams[ssrc] = { rid, pt: report.get(codecId).payloadType };
  });
  return streams;
}

/** A line of the log such as `O 12:34:56.789 0000 90 e0 … # RTP_DUMP`, which is a packet that leaves (RFC 3550 §5.1). */
function packet(line) {
  const [, hour, minute, second, hex] = /^O (\d+):(\d+):([\d.]+) 0000 ([\da-f ]+)# RTP_DUMP/.exec(line) ?? [];
  if (!hex) return undefined;
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  const padding = bytes[0] & 0x20 ? bytes.at(-1) : 0;
  const fixed = 12 + 4 * (bytes[0] & 0x0f);
  const extension = bytes[0] & 0x10 ? 4 + 4 * bytes.readUInt16BE(fixed + 2) : 0;
  return {
    ms: Math.round(((Number(hour) * 60 + Number(minute)) * 60 + Number(second)) * 1000),
    marker: bytes[1] >> 7,
    pt: bytes[1] & 0x7f,
    seq: bytes.readUInt16BE(2),
    timestamp: bytes.readUInt32BE(4),
    ssrc: bytes.readUInt32BE(8),
    payload: bytes.subarray(fixed + extension, bytes.length - padding),
  };
}

function entry({ marker, seq, timestamp, ms, payload }, layer, first) {
  const head = Buffer.alloc(12);
  head.writeUInt8(layer, 0);
  head.writeUInt8(marker, 1);
  head.writeUInt16BE(seq, 2);
  head.writeUInt32BE(timestamp, 4);
  head.writeUInt16BE(ms - first, 8);
  head.writeUInt16BE(payload.length, 10);
  return Buffer.concat([head, payload]);
}
