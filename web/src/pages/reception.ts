import type { EndReason } from '../call/reasons';
import { DeskPanel } from '../desk/panel';
import type { Visit } from '../desk/visit';
import { invite } from '../invite/dialog';
import { openPractice } from '../invite/practice';
import { Devices } from '../media/devices';
import { connectionCard } from '../probe/card';
import { h } from '../ui/dom';
import type { Shell } from '../ui/shell';

/** Reception's page: who waits and who is in the call, to be let in or not. It has no part in what is said there. */
export async function receptionPage(shell: Shell, visit: Visit): Promise<EndReason> {
  const panel = new DeskPanel(visit);
  const leaving = new AbortController();
  const inviting = h('button', { type: 'button', t: 'call.invite', 'data-testid': 'invite' });
  inviting.addEventListener('click', () => invite(visit));
  const practice = h('button', { type: 'button', class: 'secondary', t: 'practice.open', 'data-testid': 'practice' });
  practice.addEventListener('click', () => openPractice(visit));
  const leave = h('button', { type: 'button', class: 'secondary', t: 'call.leave', 'data-testid': 'leave' });
  leave.addEventListener('click', () => visit.leave());
  const test = deviceTest();
  const show = (): void => shell.status(visit.connected ? 'atDesk' : 'reconnecting');
  const stop = visit.onChange(show);
  show();
  shell.show(
    h(
      'section',
      { class: 'page reception', 'data-testid': 'reception' },
      h('div', { class: 'card wide' }, h('h1', { tabindex: '-1', t: 'reception.title' }), h('p', { class: 'hint', t: 'reception.hint' }), h('div', { class: 'acts' }, inviting, practice, leave)),
      h('div', { class: 'card' }, panel.el, panel.newsEl),
      h('div', { class: 'side' }, test.el, connectionCard(async () => visit.entry, leaving.signal)),
    ),
  );
  try {
    return await visit.ended;
  } finally {
    stop();
    leaving.abort();
    panel.close();
    test.close();
  }
}

/** Camera and microphone stay off until somebody wants to test them. */
function deviceTest(): { el: HTMLElement; close(): void } {
  let devices: Devices | undefined;
  const go = h('button', { type: 'button', class: 'secondary', t: 'reception.test', 'data-testid': 'test-devices' });
  const el = h('div', { class: 'card' }, h('h2', { t: 'device.title' }), h('p', { class: 'hint', t: 'reception.testHint' }), go);
  go.addEventListener('click', () => {
    devices = new Devices();
    el.replaceChildren(devices.preview, devices.choice);
    void devices.start();
  });
  return { el, close: () => devices?.discard() };
}
