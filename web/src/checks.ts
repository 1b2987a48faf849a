import type { StringKey } from './strings';
import { h } from './ui/dom';
import { verdict } from './ui/verdict';

interface Check {
  good: StringKey;
  bad: StringKey;
  test: () => boolean | Promise<boolean>;
}

const checks: Check[] = [
  { good: 'check.server', bad: 'check.serverBad', test: serverAnswers },
  { good: 'check.browser', bad: 'check.browserBad', test: canCall },
  { good: 'check.crypto', bad: 'check.cryptoBad', test: canEncrypt },
  { good: 'check.camera', bad: 'check.cameraBad', test: () => hasDevice('videoinput') },
  { good: 'check.microphone', bad: 'check.microphoneBad', test: () => hasDevice('audioinput') },
];

export function checkList(): HTMLElement {
  return h('ul', { class: 'checks', 'aria-live': 'polite' }, ...checks.map(checkRow));
}

export function canCall(): boolean {
  return 'RTCPeerConnection' in window && navigator.mediaDevices !== undefined;
}

export function canEncrypt(): boolean {
  const sender = 'RTCRtpSender' in window ? RTCRtpSender.prototype : {};
  return isSecureContext && ('RTCRtpScriptTransform' in window || 'createEncodedStreams' in sender);
}

function checkRow(check: Check): HTMLElement {
  const { el, tell } = verdict(check.good);
  void Promise.resolve(check.test()).then((ok) => tell(ok, ok ? check.good : check.bad));
  return el;
}

async function serverAnswers(): Promise<boolean> {
  try {
    return (await fetch('/', { method: 'HEAD', cache: 'no-store' })).ok;
  } catch {
    return false;
  }
}

async function hasDevice(kind: MediaDeviceKind): Promise<boolean> {
  const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
  return devices.some((device) => device.kind === kind);
}
