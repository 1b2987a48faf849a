import { h } from '../ui/dom';
import { icon } from '../ui/icons';

/** The code that people read out to each other, with words for what it is good; the same in all kinds of call. */
export function safetyView(): { el: HTMLElement; show(code: string | undefined): void } {
  const code = h('output', { class: 'code', 'data-testid': 'safety-code' });
  const el = h(
    'section',
    { class: 'safety', tLabel: 'safety.title' },
    h('p', { class: 'with-icon' }, icon('lock'), h('span', { t: 'safety.title' }), code),
    h('p', { class: 'hint', t: 'safety.hint' }),
  );
  el.hidden = true;
  return {
    el,
    show(text) {
      el.hidden = text === undefined;
      code.textContent = text ?? '';
    },
  };
}
