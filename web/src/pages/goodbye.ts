import { type EndReason, adviceFor } from '../call/reasons';
import { h } from '../ui/dom';
import type { Shell } from '../ui/shell';

/** Says why the call ended; resolves when the person wants to join again. */
export function goodbyePage(shell: Shell, reason: EndReason): Promise<void> {
  return new Promise((resolve) => {
    const again = h('button', { type: 'button', class: 'big', t: 'end.rejoin', 'data-testid': 'rejoin' });
    again.addEventListener('click', () => resolve());
    const { help, rejoin } = adviceFor(reason);
    shell.status('disconnected', reason);
    shell.show(
      h(
        'section',
        { class: 'page card goodbye', 'data-testid': 'goodbye', 'data-reason': reason },
        h('h1', { tabindex: '-1', t: `end.${reason}` }),
        h('p', { t: help }),
        ...(rejoin ? [again] : []),
      ),
    );
  });
}
