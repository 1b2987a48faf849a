import type { Visit } from '../desk/visit';
import { qrCode } from '../keys/qr';
import { newKey, withKey } from '../link';
import { h } from '../ui/dom';
import { say, text } from '../ui/i18n';
import { type Invitation, makeInvitation, timeOf } from './api';

/** A link, completed with the secret that the server has not, and as a QR code for the phone in the other's hand. */
export function linkPane(visit: Visit): HTMLElement {
  const pane = h('div', { class: 'pane', 'aria-busy': 'true' }, h('p', { class: 'hint', t: 'invite.making' }));
  void makeInvitation(visit, { kind: 'link', role: 'guest' })
    .then((invitation) => pane.replaceChildren(...shown(visit, invitation)))
    .catch((error: unknown) => pane.replaceChildren(h('p', { class: 'error', role: 'alert', t: 'invite.failed' }), h('p', { class: 'hint' }, (error as Error).message)))
    .finally(() => pane.removeAttribute('aria-busy'));
  return pane;
}

function shown(visit: Visit, { link = '', expires_at }: Invitation): HTMLElement[] {
  const key = secretOf(visit);
  const field = h('input', { id: 'invite-link', type: 'text', readonly: true, 'data-testid': 'invite-link' });
  field.value = key ? withKey(link, key) : link;
  field.addEventListener('focus', () => field.select());
  const copy = h('button', { type: 'button', 'data-testid': 'copy-link', t: 'invite.copy', 'aria-live': 'polite' });
  copy.addEventListener('click', () => {
    field.select();
    void navigator.clipboard.writeText(field.value).then(() => say(copy, 'invite.copied'));
  });
  const until = h('p', { class: 'hint' });
  if (expires_at !== undefined) say(until, 'invite.until', { time: timeOf(expires_at) });
  return [
    h('p', { t: key ? 'invite.hint' : 'invite.hintP2p' }),
    h('label', { for: 'invite-link', t: 'invite.link' }),
    h('div', { class: 'row' }, field, copy),
    qrFigure(field.value),
    until,
  ];
}

/** A code of what may be too long for one has none. */
function qrFigure(value: string): HTMLElement {
  const figure = h('figure', { class: 'qr', 'data-testid': 'qr' });
  try {
    figure.append(qrCode(value, text('invite.qr')), h('figcaption', { class: 'hint', t: 'invite.qrHint' }));
  } catch {
    figure.hidden = true;
  }
  return figure;
}

/** A host in a room of two gives it a secret with the first link, so that both browsers know each other by it. */
function secretOf(visit: Visit): Uint8Array<ArrayBuffer> | undefined {
  if (visit.key || visit.standing?.role !== 'host') return visit.key;
  const key = newKey();
  visit.share(key);
  history.replaceState(null, '', withKey(location.hash || `#t=${visit.entry.token}`, key));
  return key;
}
