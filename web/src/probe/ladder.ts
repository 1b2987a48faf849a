import { type Admission, NotAdmitted } from '../call/admission';
import type { Params, StringKey } from '../strings';
import { allocation, https, loop, webSocket } from './tries';
import { isGood, ruleOf, serversOf, type Way } from './ways';

/** The rungs in their order, named as `konsil check` names them. */
export const RUNGS = ['https', 'websocket', 'turn-udp', 'turn-tcp', 'turn-tls', 'relay-loop'] as const;
export type Rung = (typeof RUNGS)[number];

/** What a rung has to say. */
export interface Said {
  ok: boolean;
  words: StringKey;
  params?: Params;
}

/** The ways, those that people are served best by first. */
const WAYS: readonly Way[] = ['udp', 'tls', 'tcp'];

/** Walks the ladder: `tell` hears of each rung as soon as it is known. A rung that an earlier one makes pointless stays untold. */
export async function climb(admit: () => Promise<Admission>, tell: (rung: Rung, said: Said) => void, signal: AbortSignal): Promise<void> {
  const server = await https();
  tell('https', { ok: server, words: server ? 'probe.https' : 'probe.httpsBad', params: { host: location.host } });
  if (!server) return;
  const admitted = await admit().catch((error: unknown) => (error instanceof NotAdmitted ? error.reason : 'unreachable'));
  if (typeof admitted === 'string') return tell('websocket', { ok: false, words: `end.${admitted}` });
  if (signal.aborted) return;
  const { token, mode, iceServers } = admitted;
  const socket = await webSocket(token, mode);
  tell('websocket', { ok: socket, words: socket ? 'probe.webSocket' : 'probe.webSocketBad', params: { host: location.host } });
  const working: Way[] = [];
  for (const way of ['udp', 'tcp', 'tls'] as const) {
    if (signal.aborted) return;
    const servers = serversOf(iceServers, way);
    const ok = await allocation(servers);
    if (ok) working.push(way);
    tell(`turn-${way}`, wayWords(way, ok, servers));
  }
  const best = WAYS.find((way) => working.includes(way));
  if (best && !signal.aborted) tell('relay-loop', loopWords(await loop(serversOf(iceServers, best), signal)));
}

const GOOD: Record<Way, StringKey> = { udp: 'probe.udp', tcp: 'probe.tcp', tls: 'probe.tls' };
const BAD: Record<Way, StringKey> = { udp: 'probe.udpBad', tcp: 'probe.tcpBad', tls: 'probe.tlsBad' };

function wayWords(way: Way, ok: boolean, servers: RTCIceServer[]): Said {
  if (ok) return { ok, words: GOOD[way] };
  const { protocol, host, port } = ruleOf(servers) ?? { protocol: way === 'udp' ? 'udp' : 'tcp', host: location.hostname, port: '?' };
  return { ok, words: BAD[way], params: { rule: `${port}/${protocol}`, host } };
}

function loopWords(result: Awaited<ReturnType<typeof loop>>): Said {
  if (!result) return { ok: false, words: 'probe.loopBad' };
  const { sent, back, roundTrip } = result;
  const params = { lost: sent - back, sent, ms: roundTrip };
  return isGood(result) ? { ok: true, words: 'probe.loop', params } : { ok: false, words: 'probe.loopPoor', params };
}
