import { type Lang, type Params, type StringKey, pickLang, translate } from '../strings';

let lang: Lang = pickLang(navigator.languages);
const said = new WeakMap<Element, () => void>();

export function currentLang(): Lang {
  return lang;
}

export function text(key: StringKey, params?: Params): string {
  return translate(lang, key, params);
}

/** Shows a string in an element, and again in the other language after a switch. */
export function say(el: HTMLElement, key: StringKey, params?: Params): void {
  keep(el, () => (el.textContent = text(key, params)));
}

/** Names an element that shows no text of its own. */
export function label(el: Element, key: StringKey, params?: Params): void {
  keep(el, () => el.setAttribute('aria-label', text(key, params)));
}

export function unsay(el: HTMLElement): void {
  said.delete(el);
  delete el.dataset.said;
  el.textContent = '';
}

export function switchLang(): void {
  lang = lang === 'de' ? 'en' : 'de';
  applyLang();
}

export function applyLang(): void {
  document.documentElement.lang = lang;
  for (const el of document.querySelectorAll('[data-said]')) said.get(el)?.();
}

function keep(el: Element, show: () => void): void {
  said.set(el, show);
  el.setAttribute('data-said', '');
  show();
}
