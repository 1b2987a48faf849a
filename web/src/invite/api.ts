import type { Visit } from '../desk/visit';
import { currentLang } from '../ui/i18n';

export interface Invitation {
  id: string;
  link?: string;
  /** Seconds since 1970. */
  expires_at?: number;
}

/** What the server says against an invitation. */
export class NotInvited extends Error {
  constructor(
    readonly problem: string,
    detail: string,
  ) {
    super(detail);
  }
}

export async function makeInvitation({ entry }: Visit, body: object): Promise<Invitation> {
  const answer = await fetch(`/v1/rooms/${encodeURIComponent(entry.room)}/invitations`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${entry.token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  }).catch(() => undefined);
  if (!answer) throw new NotInvited('', '');
  if (answer.ok) return (await answer.json()) as Invitation;
  const { type = '', title, detail } = (await answer.json().catch(() => ({}))) as Record<string, string | undefined>;
  throw new NotInvited(type.replace(/^.*\//, ''), [title, detail].filter(Boolean).join(': ') || `HTTP ${answer.status}`);
}

export function timeOf(seconds: number, style: 'medium' | 'full' = 'medium'): string {
  return new Intl.DateTimeFormat(currentLang(), { dateStyle: style, timeStyle: 'short' }).format(new Date(seconds * 1000));
}
