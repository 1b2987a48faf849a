import { admission } from '../call/admission';
import { type Choice, Devices } from '../media/devices';
import { cleanName } from '../names';
import { connectionCard } from '../probe/card';
import type { Ticket } from '../room';
import type { StringKey } from '../strings';
import { consentField } from '../ui/consent';
import { h } from '../ui/dom';
import { say } from '../ui/i18n';
import type { Shell } from '../ui/shell';

export interface Setup extends Choice {
  name: string;
  canPublish: boolean;
}

/** Shows the device page and resolves with what the person chose. */
export function setupPage(shell: Shell, ticket: Ticket, name: string): Promise<Setup> {
  const { canPublish } = ticket.claims;
  return new Promise((resolve) => {
    const consent = consentField(ticket.legal);
    const { form, input, join } = nameForm(name, consent.el);
    const leaving = new AbortController();
    const devices = canPublish ? new Devices(undefined, (audio, video) => say(join, joinWords(audio, video))) : undefined;
    const note = h('p', { class: 'hint', t: 'setup.listenOnly' });
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      const clean = cleanName(input.value);
      input.setCustomValidity('');
      input.setAttribute('aria-invalid', String(!clean));
      if (!clean) return input.focus();
      if (!consent.given()) return;
      leaving.abort();
      resolve({ name: clean, canPublish, ...(devices?.finish() ?? { devices: {} }) });
    });
    shell.clearStatus();
    shell.show(
      h(
        'section',
        { class: 'page setup' },
        h('h1', { tabindex: '-1', t: 'setup.title' }),
        ...(devices ? [devices.preview] : []),
        h('div', { class: 'card' }, ...(devices ? [] : [note]), form),
        ...(devices ? [devices.choice] : []),
        connectionCard(() => admission(ticket), leaving.signal),
      ),
    );
    void devices?.start();
  });
}

function nameForm(name: string, consent: HTMLElement | undefined) {
  const input = h('input', {
    id: 'name',
    type: 'text',
    required: true,
    maxlength: '64',
    autocomplete: 'name',
    'aria-describedby': 'name-hint',
    'data-testid': 'name-input',
  });
  input.value = name;
  const join = h('button', { type: 'submit', class: 'big', t: 'setup.join', 'data-testid': 'join' });
  const form = h(
    'form',
    {},
    h('label', { for: 'name', t: 'setup.name' }),
    input,
    h('p', { id: 'name-hint', class: 'hint', t: 'setup.nameHint' }),
    ...(consent ? [consent] : []),
    join,
  );
  return { form, input, join };
}

function joinWords(audio: boolean, video: boolean): StringKey {
  if (audio) return video ? 'setup.join' : 'setup.joinAudio';
  return video ? 'setup.joinVideo' : 'setup.joinBare';
}

