import { type Admission, NotAdmitted, knock } from '../call/admission';
import { dropStay, keepStay, keptStay } from '../desk/stay';
import { complete, foreignCharacter, groupTan } from '../desk/typing';
import { type Tan, type TanFault, parseTan } from '../keys/tan';
import type { Legal } from '../legal';
import type { StringKey } from '../strings';
import { readClaims } from '../token';
import { consentField } from '../ui/consent';
import { h } from '../ui/dom';
import { currentLang, say, unsay } from '../ui/i18n';
import { icon } from '../ui/icons';
import type { Shell } from '../ui/shell';

/** Somebody who came in by TAN. */
export interface ByTan {
  tan: Tan;
  entry: Admission;
}

const FAULTS: Record<TanFault, StringKey> = {
  characters: 'tan.faultCharacters',
  length: 'tan.faultLength',
  check: 'tan.faultCheck',
};

/** Lets somebody in by TAN: who came before comes back at once, others type theirs. */
export async function enterByTan(shell: Shell, tenant: string, legal: Legal): Promise<ByTan> {
  const stay = keptStay(tenant, Date.now() / 1000);
  if (!stay) return tanPage(shell, tenant, legal);
  try {
    return { tan: stay.tan, entry: await knock({ resume: stay.resume }) };
  } catch (error) {
    const reason = error instanceof NotAdmitted ? error.reason : 'unreachable';
    // A server that is away, or a door that is shut for now, makes no TAN worthless.
    const later = ['unreachable', 'busy', 'full', 'locked', 'early'].includes(reason);
    if (!later) dropStay(tenant);
    return tanPage(shell, tenant, legal, later ? 'tan.later' : 'tan.over');
  }
}

/** Asks for the TAN until it lets in. The part of it that admits is sent, the secret half stays here. */
export function tanPage(shell: Shell, tenant: string, legal: Legal, note?: StringKey): Promise<ByTan> {
  return new Promise((resolve) => {
    const consent = consentField(legal);
    const form = tanForm('tan.go', async (tan) => {
      if (!consent.given()) return;
      const entry = await knock({ tenant, tan: tan.admit });
      const until = readClaims(entry.token)?.expiresAt;
      if (entry.resume && until !== undefined) keepStay(tenant, { resume: entry.resume, tan, until });
      resolve({ tan, entry });
    }, consent.el);
    shell.clearStatus();
    shell.show(
      h(
        'section',
        { class: 'page narrow' },
        h(
          'div',
          { class: 'card' },
          h('h1', { tabindex: '-1', t: 'tan.title' }),
          h('p', { class: 'lead', t: 'tan.what' }),
          ...(note ? [h('p', { class: 'notice', role: 'status', t: note, 'data-testid': 'tan-note' })] : []),
          form.el,
          h('p', { class: 'hint with-icon' }, icon('lock'), h('span', { t: 'tan.privacy' })),
        ),
      ),
    );
  });
}

/** A field for a TAN, which groups while one types and tells typing errors at once. `enter` gets what has no such error. */
export function tanForm(go: StringKey, enter: (tan: Tan) => Promise<void>, ...more: (Node | undefined)[]) {
  const input = h('input', {
    id: 'tan',
    type: 'text',
    class: 'tan-input',
    required: true,
    autocomplete: 'one-time-code',
    autocapitalize: 'characters',
    spellcheck: 'false',
    inputmode: 'text',
    placeholder: 'XXXX-XXXX-XXXX',
    'aria-describedby': 'tan-hint tan-error',
    'data-testid': 'tan-input',
  });
  const error = h('p', { id: 'tan-error', class: 'error', role: 'alert', 'data-testid': 'tan-error' });
  const button = h('button', { type: 'submit', class: 'big', t: go, 'data-testid': 'tan-go' });
  const complain = (key: StringKey | undefined, params?: Record<string, string>): void => {
    input.setAttribute('aria-invalid', String(key !== undefined));
    if (key) say(error, key, params);
    else unsay(error);
  };
  input.addEventListener('input', () => {
    const { text, cursor } = groupTan(input.value, input.selectionStart ?? input.value.length);
    if (text !== input.value) {
      input.value = text;
      input.setSelectionRange(cursor, cursor);
    }
    const foreign = foreignCharacter(text);
    if (foreign !== undefined) return complain('tan.foreign', { character: foreign });
    const tan = complete(text) ? parseTan(text) : undefined;
    complain(typeof tan === 'string' ? FAULTS[tan] : undefined);
  });
  const el = h(
    'form',
    { novalidate: true },
    h('label', { for: 'tan', t: 'tan.label' }),
    input,
    h('p', { id: 'tan-hint', class: 'hint', t: 'tan.hint' }),
    error,
    ...more.filter((one) => one !== undefined),
    button,
  );
  el.addEventListener('submit', async (event) => {
    event.preventDefault();
    const tan = parseTan(input.value);
    if (typeof tan === 'string') {
      complain(FAULTS[tan]);
      return input.focus();
    }
    if (button.ariaBusy === 'true') return;
    button.ariaBusy = 'true';
    complain(undefined);
    try {
      await enter(tan);
    } catch (fault) {
      complain(...wordsOf(fault));
      input.focus();
    } finally {
      button.ariaBusy = 'false';
    }
  });
  return { el, input };
}

const PROBLEMS: Record<string, StringKey> = {
  'tan-unknown': 'tan.unknown',
  'tan-typo': 'tan.faultCheck',
  'tan-used': 'tan.used',
  'tan-expired': 'tan.expired',
};

/** What a refusal means for somebody with a letter in the hand. */
export function wordsOf(fault: unknown): [key: StringKey, params?: Record<string, string>] {
  if (!(fault instanceof NotAdmitted)) return ['end.lost'];
  const { problem = '', notBefore, retryAfter } = fault.detail;
  if (problem === 'tan-early' && notBefore !== undefined) return ['tan.early', { time: timeOf(notBefore) }];
  if (problem === 'too-many-tries') return ['tan.tooMany', { minutes: String(Math.max(1, Math.ceil((retryAfter ?? 60) / 60))) }];
  return [PROBLEMS[problem] ?? `end.${fault.reason}`];
}

function timeOf(seconds: number): string {
  return new Intl.DateTimeFormat(currentLang(), { dateStyle: 'full', timeStyle: 'short' }).format(new Date(seconds * 1000));
}
