import type { StringKey } from '../strings';
import { h } from './dom';

export function openDialog(title: StringKey, ...content: Node[]): HTMLDialogElement {
  const close = h('button', { type: 'button', class: 'secondary', t: 'dialog.close', 'data-testid': 'dialog-close' });
  close.addEventListener('click', () => dialog.close());
  const dialog = show(title, ...content, close);
  return dialog;
}

/** Asks before something that cannot be taken back. */
export function confirmDialog(title: StringKey, hint: StringKey, go: StringKey, act: () => void): HTMLDialogElement {
  const cancel = h('button', { type: 'button', class: 'secondary', t: 'dialog.cancel' });
  const yes = h('button', { type: 'button', class: 'danger', t: go, 'data-testid': 'confirm' });
  const dialog = show(title, h('p', { t: hint }), h('div', { class: 'row' }, yes, cancel));
  cancel.addEventListener('click', () => dialog.close());
  yes.addEventListener('click', () => {
    dialog.close();
    act();
  });
  cancel.focus();
  return dialog;
}

/** The browser gives the focus back to where it was when the dialog closes. */
function show(title: StringKey, ...content: Node[]): HTMLDialogElement {
  const heading = h('h2', { id: `dialog-title-${++dialogs}`, t: title });
  const dialog = h('dialog', { 'aria-labelledby': heading.id }, heading, ...content);
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

let dialogs = 0;

export function closeDialogs(): void {
  for (const dialog of document.querySelectorAll('dialog')) dialog.close();
}
