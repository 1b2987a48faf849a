import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { EpochKeys, HEADSTART_MS } from '../src/call/provider';
import type { KeyTaker } from '../src/keys/keyring';
import { KeyProviderEvent } from 'livekit-client';

describe('the key ring', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
  afterEach(() => void vi.useRealTimers());

  function ring() {
    const keys = new EpochKeys();
    const told: string[] = [];
    keys.on(KeyProviderEvent.SetKey, ({ keyIndex, participantIdentity }, use) => {
      told.push(`${keyIndex} ${use ? 'used' : 'known'}${participantIdentity ?? ''}`);
    });
    let give: KeyTaker = () => undefined;
    let open = true;
    const stop = keys.follow({ follow: (take) => ((give = take), () => void (open = false)) });
    const take = async (index: number) => {
      give(index, new Uint8Array(32).fill(index));
      await vi.waitFor(() => expect(told.at(-1)?.startsWith(`${index} `)).toBe(true), { timeout: 4000 });
    };
    return { keys, told, take, stop, isOpen: () => open };
  }

  it('uses the first key at once, and each later one when the others have it too', async () => {
    const { keys, told, take } = ring();
    await take(1);
    await keys.first;
    await take(2);
    expect(told).toEqual(['1 used', '2 known']);
    vi.advanceTimersByTime(HEADSTART_MS);
    expect(told).toEqual(['1 used', '2 known', '2 used']);
    expect(keys.getLatestManuallySetKeyIndex()).toBe(2);
  });

  it('goes over a key that was followed by another at once', async () => {
    const { told, take } = ring();
    await take(15);
    await take(0);
    await take(1);
    vi.advanceTimersByTime(HEADSTART_MS * 4);
    expect(told).toEqual(['15 used', '0 known', '1 known', '1 used']);
  });

  it('knows for a while that keys are changing', async () => {
    const { keys, take } = ring();
    expect(keys.changing).toBe(false);
    await take(1);
    expect(keys.changing).toBe(true);
    vi.advanceTimersByTime(3000);
    expect(keys.changing).toBe(false);
  });

  it('neither derives keys from others nor gives one up', () => {
    expect(new EpochKeys().getOptions()).toMatchObject({ sharedKey: true, ratchetWindowSize: 0, failureTolerance: -1, keyringSize: 16 });
  });

  it('stops', async () => {
    const { told, take, stop, isOpen } = ring();
    await take(1);
    await take(2);
    stop();
    vi.advanceTimersByTime(HEADSTART_MS * 4);
    expect([told.length, isOpen()]).toEqual([2, false]);
  });
});
