import type { EndReason } from './reasons';

/** The server did not let a guest in. */
export class NotAdmitted extends Error {
  constructor(readonly reason: EndReason) {
    super(reason);
  }
}

/** The way into the room. */
export interface Admission {
  /** The token to connect with. */
  token: string;
  /** Whether media goes through the server or straight to the other person; the room decides, once and for all. */
  mode: 'sfu' | 'p2p';
  /** The relay, by all its ways. */
  iceServers: RTCIceServer[];
}

/** What the server answers, or the problem it has. */
interface Answer {
  token?: string;
  mode?: string;
  ice_servers?: RTCIceServer[];
  type?: string;
}

interface Credentials {
  token: string;
  claims?: { invitation: boolean; expiresAt: number | undefined };
}

/** Asks for the way in. An invitation stands for many guests, so each exchanges it for a token of its own. */
export async function admission({ token, claims }: Credentials): Promise<Admission> {
  const answer = await fetch('/v1/join', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(claims?.invitation ? { invitation: token } : { token }),
  }).catch(() => undefined);
  if (!answer) throw new NotAdmitted('unreachable');
  const body = (await answer.json().catch(() => ({}))) as Answer;
  if (answer.ok && body.token) {
    return { token: body.token, mode: body.mode === 'p2p' ? 'p2p' : 'sfu', iceServers: body.ice_servers ?? [] };
  }
  throw new NotAdmitted(reasonOfProblem(answer.status, body.type, claims?.expiresAt));
}

/** What an RFC 9457 problem means for a guest. */
export function reasonOfProblem(
  status: number,
  type: string | undefined,
  expiresAt: number | undefined,
): EndReason {
  if (type === '/problems/room-full') return 'full';
  if (status === 404) return 'closed';
  if (status === 401) return expiresAt !== undefined && expiresAt * 1000 <= Date.now() ? 'expired' : 'refused';
  return status >= 500 ? 'unreachable' : 'refused';
}
