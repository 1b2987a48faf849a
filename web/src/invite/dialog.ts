import type { Visit } from '../desk/visit';
import type { StringKey } from '../strings';
import { openDialog } from '../ui/dialog';
import { h } from '../ui/dom';
import { linkPane } from './link';
import { tanPane } from './tan';

/** How somebody may be invited. */
const WAYS: { id: 'link' | 'tan'; words: StringKey; pane: (visit: Visit) => HTMLElement }[] = [
  { id: 'link', words: 'invite.byLink', pane: linkPane },
  { id: 'tan', words: 'invite.byTan', pane: tanPane },
];

/** Asks how somebody is to be invited, and makes the link or the TAN. */
export function invite(visit: Visit): void {
  const made = new Map<string, HTMLElement>();
  const place = h('div', { class: 'pane' });
  const choose = (id: string): void => {
    const way = WAYS.find((one) => one.id === id);
    if (!way) return;
    const pane = made.get(id) ?? way.pane(visit);
    made.set(id, pane);
    place.replaceChildren(pane);
  };
  const options = WAYS.map(({ id, words }) => {
    const radio = h('input', { type: 'radio', name: 'way', id: `way-${id}`, value: id, checked: id === 'link', 'data-testid': `invite-by-${id}` });
    radio.addEventListener('change', () => choose(id));
    return h('p', { class: 'check' }, radio, h('label', { for: `way-${id}`, t: words }));
  });
  openDialog('invite.title', h('fieldset', { class: 'ways' }, h('legend', { class: 'sr-only', t: 'invite.how' }), ...options), place).classList.add('wide');
  choose('link');
}
