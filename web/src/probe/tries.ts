import { type Measured, measured } from './ways';

/** How long one try may take, in milliseconds. */
const PATIENCE = 8_000;
/** Real packets through the relay: as many, as long, as often as a call's sound sends. */
const PACKETS = 50;
const PACKET_BYTES = 160;
const PAUSE = 20;
/** How long the last packets have to come back, in milliseconds. */
const LATE = 1_500;

function within<T>(wait: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('too late')), PATIENCE);
  });
  return Promise.race([wait, late]).finally(() => clearTimeout(timer));
}

async function works(attempt: () => Promise<unknown>): Promise<boolean> {
  try {
    await within(attempt());
    return true;
  } catch {
    return false;
  }
}

/** Whether the server answers over HTTPS. */
export function https(): Promise<boolean> {
  return works(async () => {
    const answer = await fetch('/v1/certificate', { cache: 'no-store' });
    if (!answer.ok) throw new Error('no answer of the server');
  });
}

/** Whether WebSockets get through: one asks for a session that never was, which the server says only once it is open. */
export function webSocket(token: string, mode: 'sfu' | 'p2p'): Promise<boolean> {
  const url = new URL(mode === 'p2p' ? '/v1/p2p' : '/rtc', location.href.replace(/^http/, 'ws'));
  const nobody: Record<string, string> =
    mode === 'p2p' ? { token, resume: 'PA_none' } : { access_token: token, reconnect: '1', sid: 'PA_none', protocol: '16' };
  url.search = String(new URLSearchParams(nobody));
  url.hash = '';
  const socket = new WebSocket(url);
  return works(
    () =>
      new Promise<void>((resolve, reject) => {
        socket.onclose = () => reject(new Error('no WebSocket'));
        socket.onmessage = () => resolve();
      }),
  ).finally(() => socket.close());
}

/** Whether these servers give an address at the relay. */
export async function allocation(servers: RTCIceServer[]): Promise<boolean> {
  if (servers.length === 0) return false;
  const pc = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: 'relay' });
  try {
    return await works(async () => {
      const found = new Promise<void>((resolve, reject) => {
        pc.onicecandidate = ({ candidate }) => {
          if (candidate?.candidate) resolve();
          else if (!candidate) reject(new Error('no relayed address'));
        };
      });
      pc.createDataChannel('probe');
      await pc.setLocalDescription();
      await found;
    });
  } finally {
    pc.close();
  }
}

/** Sends packets through the relay and back, from this page to itself. */
export async function loop(servers: RTCIceServer[], signal: AbortSignal): Promise<Measured | undefined> {
  const config: RTCConfiguration = { iceServers: servers, iceTransportPolicy: 'relay' };
  const [one, other] = [new RTCPeerConnection(config), new RTCPeerConnection(config)];
  try {
    const channel = one.createDataChannel('probe', { ordered: false, maxRetransmits: 0 });
    other.ondatachannel = ({ channel: echo }) => {
      echo.onmessage = ({ data }) => echo.send(data);
    };
    await within(connect(one, other, channel));
    return await measure(channel, signal);
  } catch {
    return undefined;
  } finally {
    one.close();
    other.close();
  }
}

async function connect(one: RTCPeerConnection, other: RTCPeerConnection, channel: RTCDataChannel): Promise<void> {
  const open = new Promise<void>((resolve) => {
    channel.onopen = () => resolve();
  });
  let describe: (() => void) | undefined;
  const described = new Promise<void>((resolve) => {
    describe = resolve;
  });
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.onicecandidate = ({ candidate }) => {
      void described.then(() => to.addIceCandidate(candidate ?? undefined)).catch(() => undefined);
    };
  }
  await one.setLocalDescription();
  await other.setRemoteDescription(one.localDescription!);
  await other.setLocalDescription();
  await one.setRemoteDescription(other.localDescription!);
  describe?.();
  await open;
}

async function measure(channel: RTCDataChannel, signal: AbortSignal): Promise<Measured> {
  const roundTrips = new Map<number, number>();
  const left = new Map<number, number>();
  const all = new Promise<void>((resolve) => {
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) => {
      const number = new DataView(data as ArrayBuffer).getUint32(0);
      const since = left.get(number);
      if (since !== undefined) roundTrips.set(number, performance.now() - since);
      if (roundTrips.size === PACKETS) resolve();
    };
  });
  for (let number = 0; number < PACKETS && !signal.aborted; number++) {
    const packet = new DataView(new ArrayBuffer(PACKET_BYTES));
    packet.setUint32(0, number);
    left.set(number, performance.now());
    channel.send(packet.buffer);
    await pause(PAUSE);
  }
  await Promise.race([all, pause(LATE)]);
  return measured(PACKETS, [...roundTrips.values()]);
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
