import type { EndReason } from '../call/reasons';
import type { Visit } from '../desk/visit';
import { Devices } from '../media/devices';
import { connectionCard } from '../probe/card';
import type { StringKey } from '../strings';
import { h } from '../ui/dom';
import { say } from '../ui/i18n';
import { icon } from '../ui/icons';
import type { Shell } from '../ui/shell';
import type { Setup } from './setup';

/** What came of waiting: one may go in with these devices, or it is over. */
export type Waited = { setup: Setup } | { reason: EndReason };

/** Shows somebody who waits how things stand, and lets them look after their devices meanwhile. */
export async function waitingPage(shell: Shell, visit: Visit, setup: Setup, putBack: boolean): Promise<Waited> {
  const devices = setup.canPublish ? new Devices(setup) : undefined;
  const leaving = new AbortController();
  const title = h('h1', { tabindex: '-1', t: putBack ? 'wait.putBackTitle' : 'wait.title' });
  const state = h('p', { class: 'lead', role: 'status', 'data-testid': 'waiting-state' });
  const leave = h('button', { type: 'button', class: 'secondary', t: 'wait.leave', 'data-testid': 'leave' });
  leave.addEventListener('click', () => visit.leave());
  const show = (): void => {
    const { words, mark } = situation(visit, putBack);
    if (state.dataset.state !== mark) say(state, words);
    state.dataset.state = mark;
  };
  shell.clearStatus();
  shell.show(
    h(
      'section',
      { class: 'page setup waiting', 'data-testid': 'waiting', 'data-put-back': String(putBack) },
      h('div', { class: 'card wide' }, title, h('div', { class: 'with-icon pulse' }, icon('wait'), state), h('p', { class: 'hint', t: 'wait.hint' }), leave),
      ...(devices ? [devices.preview, devices.choice] : []),
      connectionCard(async () => visit.entry, leaving.signal),
    ),
  );
  void devices?.start();
  const stop = visit.onChange(show);
  show();
  const over = await Promise.race([visit.ended.then((reason) => ({ reason })), admitted(visit)]);
  stop();
  leaving.abort();
  if (over) {
    devices?.discard();
    return over;
  }
  return { setup: { ...setup, ...(devices?.finish() ?? {}) } };
}

/** Resolves when somebody has opened the door. */
function admitted(visit: Visit): Promise<undefined> {
  return new Promise((resolve) => {
    const look = (): void => {
      if (visit.standing?.state !== 'admitted') return;
      stop();
      resolve(undefined);
    };
    const stop = visit.onChange(look);
    look();
  });
}

function situation(visit: Visit, putBack: boolean): { mark: string; words: StringKey } {
  if (!visit.connected) return { mark: 'lost', words: 'wait.lost' };
  const someone = visit.others.some(({ role }) => role === 'host' || role === 'reception');
  if (!someone) return { mark: 'nobody', words: 'wait.nobody' };
  return putBack ? { mark: 'put-back', words: 'wait.putBack' } : { mark: 'known', words: 'wait.known' };
}
