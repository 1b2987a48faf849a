import { qrCode } from '../keys/qr';
import { type Tan, formatTan } from '../keys/tan';
import { h } from '../ui/dom';
import { say, text } from '../ui/i18n';
import { timeOf } from './api';

/** What a patient needs on paper. */
export interface Letter {
  tan: Tan;
  tenant: string;
  /** Seconds since 1970. */
  appointment: number | undefined;
  until: number | undefined;
}

/** Where the TAN is typed. */
export function addressOf(tenant: string): string {
  return `${location.origin}/t/${encodeURIComponent(tenant)}`;
}

export function letterView({ tan, tenant, appointment }: Letter): { el: HTMLElement; qr: HTMLElement } {
  const address = addressOf(tenant);
  // The code holds the address alone: who photographs it has no TAN.
  const code = (): HTMLElement => h('figure', { class: 'qr', 'data-testid': 'qr' }, qrCode(address, text('invite.qrAddress')), h('figcaption', { class: 'hint', t: 'invite.qrAddressHint' }));
  const when = h('p');
  when.hidden = appointment === undefined;
  if (appointment !== undefined) say(when, 'letter.when', { time: timeOf(appointment, 'full') });
  const el = h(
    'article',
    { class: 'letter' },
    h('h1', { t: 'letter.title' }),
    when,
    h('ol', {}, h('li', {}, h('span', { t: 'letter.open' }), h('br'), h('strong', {}, address)), h('li', {}, h('span', { t: 'letter.type' }), h('p', { class: 'tan' }, formatTan(tan))), h('li', { t: 'letter.wait' })),
    code(),
    h('p', { t: 'letter.keep' }),
    h('p', { t: 'letter.need' }),
  );
  return { el, qr: code() };
}

/** Prints the letter alone; the page comes back when the browser has done so. */
export function printLetter(letter: Letter): void {
  const { el } = letterView(letter);
  document.body.append(el);
  window.addEventListener('afterprint', () => el.remove(), { once: true });
  window.print();
}
