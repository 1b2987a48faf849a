import { checkList } from '../checks';
import { parseRoomLink } from '../link';
import { h } from '../ui/dom';
import { say, unsay } from '../ui/i18n';
import { icon } from '../ui/icons';

export function startPage(): HTMLElement {
  return h(
    'section',
    { class: 'page start' },
    h(
      'div',
      { class: 'card' },
      h('h1', { tabindex: '-1', t: 'start.title' }),
      h('p', { class: 'lead', t: 'start.what' }),
      linkForm(),
      h('p', { class: 'hint with-icon' }, icon('lock'), h('span', { t: 'start.privacy' })),
    ),
    h('div', { class: 'card' }, h('h2', { t: 'start.checks' }), checkList()),
  );
}

function linkForm(): HTMLFormElement {
  const input = h('input', {
    id: 'link',
    type: 'url',
    required: true,
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-describedby': 'link-hint link-error',
    'data-testid': 'link-input',
  });
  const error = h('p', { id: 'link-error', class: 'error', role: 'alert' });
  const form = h(
    'form',
    { novalidate: true },
    h('label', { for: 'link', t: 'start.link' }),
    h('div', { class: 'row' }, input, h('button', { type: 'submit', t: 'start.go', 'data-testid': 'go' })),
    h('p', { id: 'link-hint', class: 'hint', t: 'start.linkHint' }),
    error,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    const target = ownRoomUrl(input.value);
    input.setAttribute('aria-invalid', String(!target));
    if (target) {
      unsay(error);
      location.assign(target);
    } else {
      say(error, 'start.badLink');
      input.focus();
    }
  });
  return form;
}

/** Only a room of this server: the page must not send anyone to a foreign host. */
function ownRoomUrl(text: string): URL | undefined {
  const trimmed = text.trim();
  if (!URL.canParse(trimmed)) return undefined;
  const url = new URL(trimmed);
  return url.origin === location.origin && parseRoomLink(url) ? url : undefined;
}
