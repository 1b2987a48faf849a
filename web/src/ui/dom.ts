import type { StringKey } from '../strings';
import { label, say } from './i18n';

interface Attrs {
  /** string key of the text content */
  t?: StringKey;
  /** string key of the accessible name */
  tLabel?: StringKey;
  [attribute: string]: string | boolean | undefined;
}

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  { t, tLabel, ...attrs }: Attrs = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attrs)) {
    if (value !== undefined && value !== false) el.setAttribute(name, value === true ? '' : value);
  }
  if (t) say(el, t);
  if (tLabel) label(el, tLabel);
  el.append(...children);
  return el;
}
