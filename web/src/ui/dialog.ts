import type { StringKey } from '../strings';
import { h } from './dom';

export function openDialog(title: StringKey, ...content: Node[]): HTMLDialogElement {
  const close = h('button', { type: 'button', class: 'secondary', t: 'dialog.close' });
  const heading = h('h2', { id: 'dialog-title', t: title });
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, heading, ...content, close);
  close.addEventListener('click', () => dialog.close());
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}
