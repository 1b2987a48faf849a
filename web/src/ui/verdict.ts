import type { Params, StringKey } from '../strings';
import { h } from './dom';
import { say } from './i18n';
import { icon, setIcon } from './icons';

/** A row of a list of checks: what is being checked, then what came of it. */
export interface Verdict {
  el: HTMLElement;
  tell(ok: boolean, words: StringKey, params?: Params): void;
}

export function verdict(name: StringKey, attributes: Record<string, string> = {}): Verdict {
  const state = h('span', { class: 'sr-only', t: 'check.wait' });
  const mark = icon('wait');
  const said = h('span', { t: name });
  const el = h('li', { 'data-state': 'wait', ...attributes }, mark, h('span', {}, state, ' ', said));
  const tell = (ok: boolean, words: StringKey, params?: Params): void => {
    el.dataset.state = ok ? 'ok' : 'bad';
    setIcon(mark, ok ? 'ok' : 'bad');
    say(state, ok ? 'check.ok' : 'check.bad');
    say(said, words, params);
  };
  return { el, tell };
}
