import type { Visit } from '../desk/visit';
import { type PracticeFault, type PracticeKey, importPracticeKey, keepPracticeKey, practiceFile, practiceMark, practiceText } from '../keys/practice';
import { qrCode } from '../keys/qr';
import type { StringKey } from '../strings';
import { confirmDialog, openDialog } from '../ui/dialog';
import { h } from '../ui/dom';
import { say, text, unsay } from '../ui/i18n';

const FAULTS: Record<PracticeFault, StringKey> = {
  none: 'practice.faultNone',
  version: 'practice.faultVersion',
  damaged: 'practice.faultDamaged',
};

/** Shows the practice key of this browser, to be taken to others, and takes one from another. `imported` hears of the latter. */
export function openPractice(visit: Visit, imported: () => void = () => undefined): void {
  const { practice } = visit;
  const dialog = openDialog(
    'practice.title',
    h('p', { t: 'practice.what' }),
    ...(practice ? [exporting(practice)] : [h('p', { class: 'error', t: 'practice.missing' })]),
    importing(visit, practice, () => {
      dialog.close();
      imported();
    }),
  );
  dialog.classList.add('wide');
}

function exporting(practice: PracticeKey): HTMLElement {
  const mark = h('p', { 'data-testid': 'practice-mark' });
  say(mark, 'practice.mark', { mark: practiceMark(practice) });
  const code = h('figure', { class: 'qr', 'data-testid': 'practice-qr' });
  code.hidden = true;
  const show = h('button', { type: 'button', class: 'secondary', t: 'practice.show', 'aria-expanded': 'false' });
  show.addEventListener('click', () => {
    code.hidden = !code.hidden;
    // Only while somebody wants to see it: whoever photographs it has the key.
    if (code.hidden) code.replaceChildren();
    else code.append(qrCode(practiceText(practice), text('practice.qr')), h('figcaption', { class: 'hint', t: 'practice.qrHint' }));
    show.setAttribute('aria-expanded', String(!code.hidden));
    say(show, code.hidden ? 'practice.show' : 'practice.hide');
  });
  const save = h('button', { type: 'button', class: 'secondary', t: 'practice.save', 'data-testid': 'practice-save' });
  save.addEventListener('click', () => download(practice));
  return h('section', {}, h('h3', { t: 'practice.export' }), mark, h('div', { class: 'acts' }, save, show), code);
}

function download(practice: PracticeKey): void {
  const url = URL.createObjectURL(new Blob([practiceFile(practice, text('practice.about'))], { type: 'text/plain' }));
  const link = h('a', { href: url, download: `konsil-${practiceMark(practice)}.txt` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

function importing(visit: Visit, before: PracticeKey | undefined, done: () => void): HTMLElement {
  const error = h('p', { class: 'error', role: 'alert', 'data-testid': 'practice-error' });
  const file = h('input', { id: 'practice-file', type: 'file', accept: '.txt,text/plain', 'data-testid': 'practice-file' });
  const field = h('input', { id: 'practice-text', type: 'password', autocomplete: 'off', spellcheck: 'false', 'data-testid': 'practice-text' });
  const take = (words: string): void => {
    const key = importPracticeKey(words);
    if (typeof key === 'string') return say(error, FAULTS[key]);
    unsay(error);
    const keep = (): void => {
      keepPracticeKey(visit.entry.tenant, key);
      visit.learn(key);
      done();
    };
    // What was sealed under the old one cannot be opened here any more.
    if (before && practiceMark(before) !== practiceMark(key)) confirmDialog('practice.replaceTitle', 'practice.replaceHint', 'practice.replace', keep);
    else keep();
  };
  file.addEventListener('change', async () => {
    const [chosen] = file.files ?? [];
    if (chosen) take(await chosen.slice(0, 65536).text());
  });
  const form = h(
    'form',
    { novalidate: true },
    h('label', { for: 'practice-text', t: 'practice.paste' }),
    h('div', { class: 'row' }, field, h('button', { type: 'submit', t: 'practice.take', 'data-testid': 'practice-take' })),
    error,
  );
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    take(field.value);
  });
  return h('section', {}, h('h3', { t: 'practice.import' }), h('label', { for: 'practice-file', t: 'practice.file' }), file, form);
}
