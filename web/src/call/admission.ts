import type { Ticket } from '../room';
import type { EndReason } from './reasons';

/** The server did not let a guest in. */
export class NotAdmitted extends Error {
  constructor(readonly reason: EndReason) {
    super(reason);
  }
}

/** The token to connect with. An invitation stands for many guests, so each exchanges it for a token of its own. */
export async function admission(ticket: Ticket): Promise<string> {
  if (!ticket.claims.invitation) return ticket.token;
  const answer = await fetch('/v1/join', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ invitation: ticket.token }),
  }).catch(() => undefined);
  if (!answer) throw new NotAdmitted('unreachable');
  const body = (await answer.json().catch(() => ({}))) as { token?: string; type?: string };
  if (answer.ok && body.token) return body.token;
  throw new NotAdmitted(reasonOfProblem(answer.status, body.type, ticket.claims.expiresAt));
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
