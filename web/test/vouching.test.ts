import { afterEach, describe, expect, it, vi } from 'vitest';
import { type PairSecret, Vouching, knownSecret } from '../src/p2p/vouching';

const secret = new Uint8Array(32).fill(7);

function late(): PairSecret & { come(secret: Uint8Array): void } {
  let now: Uint8Array | undefined;
  const heard = new Set<() => void>();
  return {
    now: () => now,
    fixed: false,
    onChange: (hear) => (heard.add(hear), () => void heard.delete(hear)),
    come: (secret) => {
      now = secret;
      for (const hear of heard) hear();
    },
  };
}

function two(ours: PairSecret, theirs: PairSecret) {
  const decisions: string[] = [];
  const letters: (() => void)[] = [];
  const one: Vouching = new Vouching(ours, 'impolite', (text) => letters.push(() => other.hear(text)), () => decisions.push(`one ${one.confirmed}`));
  const other: Vouching = new Vouching(theirs, 'polite', (text) => letters.push(() => one.hear(text)), () => decisions.push(`other ${other.confirmed}`));
  const deliver = () => {
    for (const hand of letters.splice(0)) hand();
  };
  return { one, other, decisions, deliver };
}

describe('two on one connection', () => {
  afterEach(() => void vi.useRealTimers());

  it('confirm it to each other', () => {
    const { one, other, decisions, deliver } = two(knownSecret(secret), knownSecret(secret));
    one.over(['A', 'B']);
    other.over(['B', 'A']);
    deliver();
    expect(decisions).toEqual(['other true', 'one true']);
  });

  it('wait until both have the secret', () => {
    const [ours, theirs] = [late(), late()];
    const { one, other, decisions, deliver } = two(ours, theirs);
    one.over(['A', 'B']);
    ours.come(secret);
    deliver();
    expect(decisions).toEqual([]);
    theirs.come(secret);
    other.over(['B', 'A']);
    deliver();
    expect(decisions.sort()).toEqual(['one true', 'other true']);
  });

  it('wait when one has a new secret already', () => {
    vi.useFakeTimers();
    const [ours, theirs] = [late(), late()];
    const { one, other, decisions, deliver } = two(ours, theirs);
    ours.come(secret);
    theirs.come(new Uint8Array(32));
    one.over(['A', 'B']);
    other.over(['B', 'A']);
    deliver();
    vi.advanceTimersByTime(4000);
    expect(decisions).toEqual([]);
    theirs.come(secret);
    deliver();
    vi.advanceTimersByTime(60_000);
    expect(decisions.sort()).toEqual(['one true', 'other true']);
  });

  it('wait no longer than that', () => {
    vi.useFakeTimers();
    const [ours, theirs] = [late(), late()];
    const { one, other, decisions, deliver } = two(ours, theirs);
    ours.come(secret);
    theirs.come(new Uint8Array(32));
    one.over(['A', 'B']);
    other.over(['B', 'A']);
    deliver();
    vi.advanceTimersByTime(5000);
    expect(decisions).toEqual(['other false', 'one false']);
  });

  it('notice somebody in between', () => {
    const { one, other, decisions, deliver } = two(knownSecret(secret), knownSecret(secret));
    one.over(['A', 'M']);
    other.over(['B', 'M']);
    deliver();
    expect(decisions.sort()).toEqual(['one false', 'other false']);
  });

  it('say it again when the way has opened', () => {
    const { one, other, decisions, deliver } = two(knownSecret(secret), knownSecret(secret));
    one.over(['A', 'B']);
    other.over(['B', 'A']);
    deliver();
    one.over(['A', 'B']);
    deliver();
    expect(decisions).toHaveLength(2);
  });

  it('take other messages for what they are', () => {
    const { one } = two(knownSecret(secret), knownSecret(secret));
    for (const message of ['{"name":"A"}', 'null', '{', '{"certificates":1}', 5, JSON.stringify({ certificates: 'x'.repeat(300) })]) {
      expect(one.hear(message)).toBe(false);
    }
    expect(one.confirmed).toBeUndefined();
  });
});
