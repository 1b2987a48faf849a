import type { StringKey } from '../strings';
import { h } from './dom';
import { applyLang, say, switchLang, unsay } from './i18n';
import { icon } from './icons';

export type StatusState = 'connecting' | 'connected' | 'reconnecting' | 'reconnected' | 'disconnected' | 'atDesk';

/** What stays on the screen while pages come and go: header, live status, place for messages. */
export interface Shell {
  show(page: HTMLElement): void;
  status(state: StatusState, reason?: string): void;
  clearStatus(): void;
  alert(key: StringKey): void;
  clearAlert(): void;
  /** The operator's documents, which stay at the foot of every page. */
  legal(links: HTMLElement[]): void;
}

export function createShell(body: HTMLElement): Shell {
  const status = h('p', { class: 'status', role: 'status', 'aria-live': 'polite', 'data-testid': 'status' });
  const alertText = h('span', { role: 'alert' });
  const close = h('button', { type: 'button', class: 'quiet', t: 'dialog.close' });
  const alertBar = h('div', { class: 'alert', 'data-testid': 'alert' }, alertText, close);
  alertBar.hidden = true;
  const main = h('main', { id: 'main', tabindex: '-1' });
  const clearAlert = (): void => {
    alertBar.hidden = true;
    unsay(alertText);
  };
  close.addEventListener('click', clearAlert);
  const foot = h('footer', { class: 'foot', 'data-testid': 'legal' });
  foot.hidden = true;
  body.replaceChildren(skipLink(main), header(status), alertBar, main, foot);
  applyLang();

  return {
    show(page) {
      main.replaceChildren(page);
      page.querySelector<HTMLElement>('h1')?.focus();
    },
    status(state, reason) {
      status.dataset.state = state;
      if (reason === undefined) delete status.dataset.reason;
      else status.dataset.reason = reason;
      say(status, `status.${state}`);
    },
    clearStatus() {
      delete status.dataset.state;
      delete status.dataset.reason;
      unsay(status);
    },
    alert(key) {
      alertBar.hidden = false;
      say(alertText, key);
    },
    clearAlert,
    legal(links) {
      foot.replaceChildren(...links);
      foot.hidden = links.length === 0;
    },
  };
}

function header(status: HTMLElement): HTMLElement {
  const lang = h('button', { type: 'button', class: 'quiet', 'data-testid': 'lang' });
  const show = (): void => {
    say(lang, 'app.switch');
    lang.lang = document.documentElement.lang === 'de' ? 'en' : 'de';
  };
  lang.addEventListener('click', () => {
    switchLang();
    show();
  });
  const brand = h('a', { class: 'brand', href: '/' }, icon('lock'), h('strong', {}, 'Konsil'));
  queueMicrotask(show);
  return h('header', { class: 'top' }, brand, status, lang);
}

/** A button and not a link to #main, since the fragment holds the token and the key. */
function skipLink(main: HTMLElement): HTMLElement {
  const skip = h('button', { type: 'button', class: 'skip', t: 'app.skip' });
  skip.addEventListener('click', () => main.focus());
  return skip;
}
