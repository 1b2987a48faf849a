import type { Admission } from '../call/admission';
import type { StringKey } from '../strings';
import { h } from '../ui/dom';
import { say } from '../ui/i18n';
import { verdict } from '../ui/verdict';
import { climb, RUNGS, type Rung } from './ladder';

const NAMES: Record<Rung, StringKey> = {
  https: 'check.server',
  websocket: 'probe.webSocketName',
  'turn-udp': 'probe.udpName',
  'turn-tcp': 'probe.tcpName',
  'turn-tls': 'probe.tlsName',
  'relay-loop': 'probe.loopName',
};

/** A card with a button that tests the way of a call, rung by rung. */
export function connectionCard(admit: () => Promise<Admission>, signal: AbortSignal): HTMLElement {
  const go = h('button', { type: 'button', class: 'secondary', t: 'probe.go', 'data-testid': 'check-connection' });
  const list = h('ul', { class: 'checks', 'aria-live': 'polite' });
  go.addEventListener('click', () => {
    // A disabled button would lose the keyboard's focus.
    if (go.ariaDisabled === 'true') return;
    go.ariaDisabled = 'true';
    const rows = new Map(RUNGS.map((rung) => [rung, verdict(NAMES[rung], { 'data-testid': 'rung', 'data-rung': rung })]));
    list.replaceChildren(...[...rows.values()].map(({ el }) => el));
    void climb(admit, (rung, { ok, words, params }) => rows.get(rung)?.tell(ok, words, params), signal).finally(() => {
      // What an earlier rung made pointless is not shown as if it still ran.
      for (const { el } of rows.values()) if (el.dataset.state === 'wait') el.remove();
      go.ariaDisabled = 'false';
      say(go, 'probe.again');
    });
  });
  return h('div', { class: 'card' }, h('h2', { t: 'probe.title' }), h('p', { class: 'hint', t: 'probe.hint' }), go, list);
}
