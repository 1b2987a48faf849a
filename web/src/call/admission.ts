import type { EndReason } from './reasons';

/** What goes with a refusal, as far as the server says it. */
export interface RefusalDetail {
  /** The last part of the RFC 9457 problem's type, such as `tan-unknown`. */
  problem?: string;
  /** When to come back, in seconds since 1970. */
  notBefore?: number;
  /** After how many seconds one may try again. */
  retryAfter?: number;
}

/** The server did not let a guest in. */
export class NotAdmitted extends Error {
  constructor(
    readonly reason: EndReason,
    readonly detail: RefusalDetail = {},
  ) {
    super(reason);
  }
}

/** The way into the room. */
export interface Admission {
  /** The token to connect with. */
  token: string;
  /** Somebody must open the door first. */
  waiting: boolean;
  /** Whether media goes through the server or straight to the other person; the room decides, once and for all. */
  mode: 'sfu' | 'p2p';
  /** The room and the organisation whose room it is, as the keys name them. */
  room: string;
  tenant: string;
  /** The relay, by all its ways. */
  iceServers: RTCIceServer[];
  /** What this browser comes back with, told once. */
  resume: string | undefined;
}

/** What the server answers, or the problem it has. */
interface Answer {
  state?: string;
  token?: string;
  mode?: string;
  room?: string;
  tenant?: string;
  ice_servers?: RTCIceServer[];
  resume?: string;
  type?: string;
  not_before?: number;
}

interface Credentials {
  token: string;
  claims?: { invitation: boolean; expiresAt: number | undefined };
}

/** What one comes with. Of a TAN it is the admit half alone. */
type Entitlement = { invitation: string } | { token: string } | { tenant: string; tan: string } | { resume: string };

/** Asks for the way in. An invitation stands for many guests, so each exchanges it for a token of its own. */
export function admission({ token, claims }: Credentials): Promise<Admission> {
  return knock(claims?.invitation ? { invitation: token } : { token }, claims?.expiresAt);
}

export async function knock(entitlement: Entitlement, expiresAt?: number): Promise<Admission> {
  const answer = await fetch('/v1/join', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(entitlement),
  }).catch(() => undefined);
  if (!answer) throw new NotAdmitted('unreachable');
  const body = (await answer.json().catch(() => ({}))) as Answer;
  if (answer.ok && body.token) return read(body, body.token);
  const retryAfter = Number(answer.headers.get('Retry-After'));
  throw new NotAdmitted(reasonOfProblem(answer.status, body.type, expiresAt), {
    ...(body.type && { problem: body.type.replace(/^.*\//, '') }),
    ...(typeof body.not_before === 'number' && { notBefore: body.not_before }),
    ...(retryAfter > 0 && { retryAfter }),
  });
}

function read(body: Answer, token: string): Admission {
  return {
    token,
    waiting: body.state === 'waiting',
    mode: body.mode === 'p2p' ? 'p2p' : 'sfu',
    room: body.room ?? '',
    tenant: body.tenant ?? '',
    iceServers: body.ice_servers ?? [],
    resume: body.resume,
  };
}

const PROBLEMS: Record<string, EndReason> = {
  'room-full': 'full',
  locked: 'locked',
  'too-early': 'early',
  'tan-early': 'early',
  'turned-away': 'turnedAway',
  revoked: 'turnedAway',
  'tan-used': 'used',
  'tan-expired': 'expired',
  'too-many-tries': 'busy',
};

/** What an RFC 9457 problem means for a guest. */
export function reasonOfProblem(
  status: number,
  type: string | undefined,
  expiresAt: number | undefined,
): EndReason {
  const known = PROBLEMS[type?.replace(/^.*\//, '') ?? ''];
  if (known) return known;
  if (status === 404) return 'closed';
  if (status === 401) return expiresAt !== undefined && expiresAt * 1000 <= Date.now() ? 'expired' : 'refused';
  return status >= 500 ? 'unreachable' : 'refused';
}
