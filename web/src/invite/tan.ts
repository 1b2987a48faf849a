import type { Visit } from '../desk/visit';
import { type PracticeKey, practiceKey, practiceMark, sealTan } from '../keys/practice';
import { type Tan, formatTan, newTan } from '../keys/tan';
import { h } from '../ui/dom';
import { say } from '../ui/i18n';
import { type Invitation, NotInvited, makeInvitation, timeOf } from './api';
import { openPractice } from './practice';
import { type Letter, addressOf, letterView, printLetter } from './letter';

/** So many TANs that another invitation has already, and something else is wrong. */
const MOST_TRIES = 8;
/** How long before an appointment the TAN is good, and how long after. */
const BEFORE_S = 3600;
const AFTER_S = 12 * 3600;

/** A TAN for a letter or the telephone. It is made here: the server gets its first half, and the rest only sealed. */
export function tanPane(visit: Visit): HTMLElement {
  const pane = h('div', { class: 'pane' });
  const practice = visit.practice ?? (visit.standing?.role === 'host' ? practiceKey(visit.entry.tenant) : undefined);
  if (practice) pane.append(...asking(visit, practice, pane));
  else pane.append(...missing(visit, pane));
  return pane;
}

/** Reception's PC has no key before somebody brings it there. */
function missing(visit: Visit, pane: HTMLElement): HTMLElement[] {
  const bring = h('button', { type: 'button', t: 'practice.import', 'data-testid': 'import-practice' });
  bring.addEventListener('click', () =>
    openPractice(visit, () => {
      const { practice } = visit;
      if (practice) pane.replaceChildren(...asking(visit, practice, pane));
    }),
  );
  return [h('p', { class: 'error', t: 'practice.missing' }), bring];
}

function asking(visit: Visit, practice: PracticeKey, pane: HTMLElement): HTMLElement[] {
  const when = h('input', { id: 'appointment', type: 'datetime-local', 'aria-describedby': 'appointment-hint', 'data-testid': 'appointment' });
  const error = h('p', { class: 'error', role: 'alert' });
  const go = h('button', { type: 'submit', t: 'invite.makeTan', 'data-testid': 'make-tan' });
  const form = h(
    'form',
    {},
    h('label', { for: 'appointment', t: 'invite.appointment' }),
    when,
    h('p', { id: 'appointment-hint', class: 'hint', t: 'invite.appointmentHint' }),
    error,
    go,
  );
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (go.ariaBusy === 'true') return;
    go.ariaBusy = 'true';
    try {
      const at = when.value ? Math.floor(new Date(when.value).getTime() / 1000) : undefined;
      const { tan, invitation } = await make(visit, practice, at);
      const letter = { tan, tenant: visit.entry.tenant, appointment: at, until: invitation.expires_at };
      pane.replaceChildren(...shown(letter));
      pane.querySelector<HTMLElement>('[data-testid="tan"]')?.focus();
    } catch (fault) {
      say(error, 'invite.failed');
      error.append(` (${(fault as Error).message})`);
    } finally {
      go.ariaBusy = 'false';
    }
  });
  return [h('p', { t: 'invite.tanWhat' }), form, practiceLine(visit, practice)];
}

/** Makes a TAN until it is one that nobody else has. */
async function make(visit: Visit, practice: PracticeKey, at: number | undefined): Promise<{ tan: Tan; invitation: Invitation }> {
  const { tenant, room } = visit.entry;
  const times = at === undefined ? {} : { not_before: at - BEFORE_S, not_after: at + AFTER_S };
  for (let tries = 1; ; tries++) {
    const tan = newTan();
    const sealed = await sealTan(practice, { tenant, room }, tan);
    try {
      return { tan, invitation: await makeInvitation(visit, { kind: 'tan', role: 'guest', admit: tan.admit, sealed, ...times }) };
    } catch (error) {
      if (!(error instanceof NotInvited) || error.problem !== 'tan-taken' || tries >= MOST_TRIES) throw error;
    }
  }
}

function shown(letter: Letter): HTMLElement[] {
  const print = h('button', { type: 'button', t: 'invite.print', 'data-testid': 'print' });
  print.addEventListener('click', () => printLetter(letter));
  const until = h('p', { class: 'hint' });
  if (letter.until !== undefined) say(until, 'invite.until', { time: timeOf(letter.until) });
  return [
    h('p', { t: 'invite.tanHint' }),
    h('p', { class: 'tan', tabindex: '-1', 'data-testid': 'tan' }, formatTan(letter.tan)),
    h('p', {}, h('span', { t: 'invite.tanAddress' }), ' ', h('strong', { class: 'address', 'data-testid': 'tan-address' }, addressOf(letter.tenant))),
    letterView(letter).qr,
    until,
    print,
  ];
}

function practiceLine(visit: Visit, practice: PracticeKey): HTMLElement {
  const words = h('span');
  say(words, 'practice.mark', { mark: practiceMark(practice) });
  const open = h('button', { type: 'button', class: 'quiet', t: 'practice.open', 'data-testid': 'practice' });
  open.addEventListener('click', () => openPractice(visit));
  return h('p', { class: 'hint' }, words, ' ', open);
}
