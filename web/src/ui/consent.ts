import type { Legal } from '../legal';
import { h } from './dom';
import { say, unsay } from './i18n';

/** Given once, it holds for this window, over a reload too: a browser that discards a tab must not keep its person waiting. */
const AGREED = 'konsil.agreed';
let agreed = false;

function hasAgreed(): boolean {
  try {
    agreed ||= sessionStorage.getItem(AGREED) === 'yes';
  } catch {
    // A browser without storage asks again.
  }
  return agreed;
}

export function legalLinks({ pages }: Legal): HTMLElement[] {
  return pages.map(({ name, url }) => h('a', { href: url, target: '_blank', rel: 'noopener', t: name }));
}

/** A box to tick before joining, if the operator wants it and it was not ticked yet. */
export function consentField({ pages, consent }: Legal): { el: HTMLElement | undefined; given(): boolean } {
  if (!consent || hasAgreed()) return { el: undefined, given: () => true };
  const box = h('input', { id: 'consent', type: 'checkbox', required: true, 'aria-describedby': 'consent-error', 'data-testid': 'consent' });
  const error = h('p', { id: 'consent-error', class: 'error', role: 'alert' });
  const documents = legalLinks({ pages: pages.filter(({ name }) => name !== 'legal.imprint'), consent });
  const el = h(
    'div',
    { class: 'consent' },
    h('p', { class: 'check' }, box, h('label', { for: 'consent', t: 'legal.consent' })),
    ...(documents.length > 0 ? [h('p', { class: 'links' }, ...documents)] : []),
    error,
  );
  return {
    el,
    given() {
      agreed = box.checked;
      box.setAttribute('aria-invalid', String(!agreed));
      if (agreed) {
        unsay(error);
        remember();
      } else {
        say(error, 'legal.missing');
        box.focus();
      }
      return agreed;
    },
  };
}

function remember(): void {
  try {
    sessionStorage.setItem(AGREED, 'yes');
  } catch {
    // As above.
  }
}
