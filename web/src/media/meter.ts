import { h } from '../ui/dom';

export interface Meter {
  el: HTMLElement;
  listen(track: MediaStreamTrack | undefined): void;
  close(): void;
}

/** A bar that follows the loudness of a track. */
export function createMeter(): Meter {
  const bar = h('span', { class: 'meter-bar' });
  const asleep = h('p', { class: 'hint', t: 'setup.levelAsleep' });
  const scale = h(
    'div',
    {
      class: 'meter',
      role: 'meter',
      tLabel: 'setup.level',
      'aria-valuemin': '0',
      'aria-valuemax': '100',
      'aria-valuenow': '0',
      'data-testid': 'mic-level',
    },
    bar,
  );
  const el = h('div', {}, scale, asleep);
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  const samples = new Float32Array(analyser.fftSize);
  let source: MediaStreamAudioSourceNode | undefined;
  const wake = (): void => void context.resume().catch(() => undefined);

  const show = (): void => {
    analyser.getFloatTimeDomainData(samples);
    // Browsers hold sound processing back until the person touches the page.
    asleep.hidden = !source || context.state !== 'suspended';
    const level = source ? percent(samples) : 0;
    scale.setAttribute('aria-valuenow', String(level));
    bar.style.transform = `scaleX(${level / 100})`;
  };
  const timer = setInterval(show, 60);
  document.addEventListener('pointerdown', wake);
  document.addEventListener('keydown', wake);

  return {
    el,
    listen(track) {
      source?.disconnect();
      source = track && context.createMediaStreamSource(new MediaStream([track]));
      source?.connect(analyser);
    },
    close() {
      clearInterval(timer);
      document.removeEventListener('pointerdown', wake);
      document.removeEventListener('keydown', wake);
      void context.close();
    },
  };
}

/** Loudness on a decibel scale, from -60 dB to 0 dB: speech then fills about two thirds. */
function percent(samples: Float32Array): number {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  const decibels = 10 * Math.log10(power + 1e-9);
  return Math.round(Math.min(1, Math.max(0, (decibels + 60) / 60)) * 100);
}
