import type { Visit } from '../desk/visit';
import { invite } from '../invite/dialog';
import { problemOf } from '../media/capture';
import { createPicker } from '../media/picker';
import type { Ticket } from '../room';
import type { StringKey } from '../strings';
import { h } from '../ui/dom';
import { openDialog } from '../ui/dialog';
import { say } from '../ui/i18n';
import { type IconName, icon, setIcon } from '../ui/icons';
import type { Shell } from '../ui/shell';
import type { Media } from './media';

interface Face {
  icon: IconName;
  words: StringKey;
  on?: boolean;
}

interface Control {
  el: HTMLButtonElement;
  show(face: Face): void;
}

/** The row of buttons under the call. */
export function createControls(shell: Shell, media: Media, ticket: Ticket, visit: Visit, toggle: HTMLElement | undefined): HTMLElement {
  const mic = control('mute-mic', micFace(media), () =>
    guard(shell, () => media.setMicrophone(!media.microphone), 'audio'),
  );
  const cam = control('mute-cam', camFace(media), () =>
    guard(shell, () => media.setCamera(!media.camera), 'video'),
  );
  const share = control('share-screen', shareFace(media), () =>
    guard(shell, () => media.setScreen(!media.screen), 'screen'),
  );
  const asking = control('invite', { icon: 'invite', words: 'call.invite' }, () => invite(visit));
  const devices = control('devices', { icon: 'devices', words: 'call.devices' }, () =>
    showDevices(shell, media, ticket),
  );
  const leave = control('leave', { icon: 'leave', words: 'call.leave' }, () => media.leave());
  leave.el.classList.add('danger');

  media.onChange(() => {
    mic.show(micFace(media));
    cam.show(camFace(media));
    share.show(shareFace(media));
  });
  const { canPublish, roomAdmin } = ticket.claims;
  const canShare = canPublish && 'getDisplayMedia' in navigator.mediaDevices;
  return h(
    'div',
    { class: 'controls', role: 'toolbar', tLabel: 'call.controls' },
    ...(canPublish ? [mic.el, cam.el] : []),
    ...(canShare ? [share.el] : []),
    ...(toggle ? [toggle] : []),
    ...(roomAdmin ? [asking.el] : []),
    devices.el,
    leave.el,
  );
}

function micFace({ microphone: on }: Media): Face {
  return { icon: on ? 'mic' : 'micOff', words: on ? 'call.micOff' : 'call.micOn', on };
}

function camFace({ camera: on }: Media): Face {
  return { icon: on ? 'cam' : 'camOff', words: on ? 'call.camOff' : 'call.camOn', on };
}

function shareFace({ screen: on }: Media): Face {
  return { icon: on ? 'screenOff' : 'screen', words: on ? 'call.unshare' : 'call.share' };
}

export function control(testId: string, face: Face, act: () => Promise<unknown> | void): Control {
  const svg = icon(face.icon);
  const words = h('span');
  const el = h('button', { type: 'button', class: 'control', 'data-testid': testId }, svg, words);
  const show = (next: Face): void => {
    setIcon(svg, next.icon);
    say(words, next.words);
    if (next.on !== undefined) el.dataset.on = String(next.on);
  };
  show(face);
  el.addEventListener('click', async () => {
    // Not `disabled`, which would take the keyboard focus away.
    if (el.ariaBusy === 'true') return;
    el.ariaBusy = 'true';
    try {
      await act();
    } finally {
      el.ariaBusy = 'false';
    }
  });
  return { el, show };
}

async function guard(
  shell: Shell,
  act: () => Promise<unknown>,
  what: 'audio' | 'video' | 'screen',
): Promise<void> {
  shell.clearAlert();
  try {
    await act();
  } catch (error) {
    if (what !== 'screen') shell.alert(problemOf(what, error));
    // Closing the browser's own picker is a decision, not a failure.
    else if ((error as Error).name !== 'NotAllowedError') shell.alert('media.screen.failed');
  }
}

async function showDevices(shell: Shell, media: Media, { claims }: Ticket): Promise<void> {
  const inputs: MediaDeviceKind[] = claims.canPublish ? ['videoinput', 'audioinput'] : [];
  const picker = createPicker([...inputs, 'audiooutput'], {
    active: (kind) => media.activeDevice(kind),
    pick: (kind, id) => {
      void guard(shell, () => media.switchDevice(kind, id), kind === 'videoinput' ? 'video' : 'audio');
    },
  });
  await picker.refresh();
  openDialog('device.title', picker.el).addEventListener('close', () => picker.close());
}
