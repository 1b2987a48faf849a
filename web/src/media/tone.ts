/** Plays two short notes on the chosen speaker. */
export async function playTone(sinkId: string | undefined): Promise<void> {
  const context = new AudioContext();
  const output = context.createMediaStreamDestination();
  const gain = context.createGain();
  const oscillator = context.createOscillator();
  gain.gain.value = 0.15;
  oscillator.frequency.setValueAtTime(523, context.currentTime);
  oscillator.frequency.setValueAtTime(659, context.currentTime + 0.4);
  oscillator.connect(gain).connect(output);

  const audio = new Audio();
  audio.srcObject = output.stream;
  if (sinkId && 'setSinkId' in audio) await audio.setSinkId(sinkId).catch(() => undefined);
  oscillator.onended = () => void context.close();
  oscillator.start();
  oscillator.stop(context.currentTime + 0.8);
  await audio.play().catch(() => undefined);
}
