import type { StringKey } from '../strings';
import { h } from '../ui/dom';

export function noticePage(title: StringKey, body?: StringKey): HTMLElement {
  return h(
    'section',
    { class: 'page card', 'data-testid': 'notice' },
    h('h1', { tabindex: '-1', t: title }),
    ...(body ? [h('p', { t: body })] : []),
    h('a', { class: 'button secondary', href: '/', t: 'link.toStart' }),
  );
}
