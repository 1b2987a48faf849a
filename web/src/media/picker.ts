import { supportsAudioOutputSelection } from 'livekit-client';
import type { StringKey } from '../strings';
import { h } from '../ui/dom';
import { say } from '../ui/i18n';

export interface Picker {
  el: HTMLElement;
  refresh(): Promise<void>;
  close(): void;
}

interface Wiring {
  active(kind: MediaDeviceKind): string | undefined;
  pick(kind: MediaDeviceKind, deviceId: string): void;
}

const rows: { kind: MediaDeviceKind; title: StringKey }[] = [
  { kind: 'videoinput', title: 'device.camera' },
  { kind: 'audioinput', title: 'device.microphone' },
  { kind: 'audiooutput', title: 'device.speaker' },
];

/** The pick lists for the given kinds of device, kept fresh while devices come and go. */
export function createPicker(kinds: MediaDeviceKind[], wiring: Wiring): Picker {
  const wanted = rows.filter(
    ({ kind }) => kinds.includes(kind) && (kind !== 'audiooutput' || supportsAudioOutputSelection()),
  );
  const selects = wanted.map(({ kind }) => {
    const select = h('select', { id: `device-${kind}`, 'data-testid': `device-${kind}` });
    select.addEventListener('change', () => wiring.pick(kind, select.value));
    return { kind, select };
  });
  const el = h('div', { class: 'picker' });
  wanted.forEach(({ kind, title }, i) => {
    const select = selects[i]?.select;
    if (select)
      el.append(h('div', { class: 'field' }, h('label', { for: `device-${kind}`, t: title }), select));
  });

  const refresh = async (): Promise<void> => {
    const devices = await navigator.mediaDevices.enumerateDevices();
    for (const { kind, select } of selects) {
      fill(
        select,
        devices.filter((device) => device.kind === kind),
        wiring.active(kind),
      );
    }
  };
  const onChange = (): void => void refresh();
  navigator.mediaDevices.addEventListener('devicechange', onChange);
  return { el, refresh, close: () => navigator.mediaDevices.removeEventListener('devicechange', onChange) };
}

function fill(select: HTMLSelectElement, devices: MediaDeviceInfo[], active: string | undefined): void {
  // Without permission the browser lists devices without ids, which nobody can choose.
  const known = devices.filter((device) => device.deviceId !== '');
  const options = known.map((device, i) => {
    const option = h('option', { value: device.deviceId }, device.label);
    if (!device.label) say(option, 'device.unnamed', { n: i + 1 });
    return option;
  });
  const empty = h('option', { value: '', t: devices.length > 0 ? 'device.default' : 'device.none' });
  select.replaceChildren(...(options.length > 0 ? options : [empty]));
  select.disabled = options.length === 0;
  if (known.some((device) => device.deviceId === active)) select.value = active ?? '';
}
