import { type Key, withKey } from '../link';
import type { Ticket } from '../room';
import { h } from '../ui/dom';
import { openDialog } from '../ui/dialog';
import { currentLang, say } from '../ui/i18n';

interface Invitation {
  link: string;
  expires_at?: string | number;
}

/** Asks the server for a guest link and shows it, completed with the key that the server has not. */
export async function invite(ticket: Ticket): Promise<void> {
  const answer = await fetch(`/v1/rooms/${encodeURIComponent(ticket.room)}/invitations`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${ticket.token}`, 'Content-Type': 'application/json' },
    body: JSON.stringify({ kind: 'link', role: 'guest' }),
  }).catch(() => undefined);
  if (!answer?.ok) return showFailure(answer ? await problemText(answer) : '');
  showLink((await answer.json()) as Invitation, ticket.key);
}

function showFailure(detail: string): void {
  openDialog('invite.failed', ...(detail ? [h('p', { class: 'error' }, detail)] : []));
}

function showLink(invitation: Invitation, key: Key | undefined): void {
  const field = h('input', { id: 'invite-link', type: 'text', readonly: true, 'data-testid': 'invite-link' });
  field.value = key ? withKey(invitation.link, key) : invitation.link;
  field.addEventListener('focus', () => field.select());
  const copy = h('button', {
    type: 'button',
    'data-testid': 'copy-link',
    t: 'invite.copy',
    'aria-live': 'polite',
  });
  copy.addEventListener('click', () => {
    field.select();
    void navigator.clipboard.writeText(field.value).then(() => say(copy, 'invite.copied'));
  });
  openDialog(
    'invite.title',
    h('p', { t: key ? 'invite.hint' : 'invite.hintP2p' }),
    h('label', { for: 'invite-link', t: 'invite.link' }),
    h('div', { class: 'row' }, field, copy),
    ...expiry(invitation.expires_at),
  );
}

function expiry(expiresAt: string | number | undefined): HTMLElement[] {
  const time = new Date(typeof expiresAt === 'number' ? expiresAt * 1000 : (expiresAt ?? NaN));
  if (Number.isNaN(time.getTime())) return [];
  const note = h('p', { class: 'hint' });
  const format = new Intl.DateTimeFormat(currentLang(), { dateStyle: 'medium', timeStyle: 'short' });
  say(note, 'invite.until', { time: format.format(time) });
  return [note];
}

/** The words of an RFC 9457 problem, or else the bare status. */
async function problemText(answer: Response): Promise<string> {
  const problem = (await answer.json().catch(() => ({}))) as { title?: string; detail?: string };
  return [problem.title, problem.detail].filter(Boolean).join(': ') || `HTTP ${answer.status}`;
}
