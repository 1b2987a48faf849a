import { describe, expect, it } from 'vitest';
import { reasonOfProblem } from '../src/call/admission';

describe('a refused guest', () => {
  const past = Date.now() / 1000 - 60;
  it.each([
    [409, '/problems/room-full', undefined, 'full'],
    [404, '/problems/room-not-found', undefined, 'closed'],
    [401, '/problems/unauthorized', past, 'expired'],
    [401, '/problems/unauthorized', past + 3600, 'refused'],
    [422, '/problems/invalid-value', undefined, 'refused'],
    [503, '/problems/busy', undefined, 'unreachable'],
    [423, '/problems/locked', undefined, 'locked'],
    [409, '/problems/too-early', undefined, 'early'],
    [403, '/problems/turned-away', undefined, 'turnedAway'],
    [410, '/problems/tan-used', undefined, 'used'],
    [410, '/problems/tan-expired', undefined, 'expired'],
    [429, '/problems/too-many-tries', undefined, 'busy'],
    [502, undefined, undefined, 'unreachable'],
  ] as const)('%i %s is told as %s %s', (status, type, expiresAt, reason) => {
    expect(reasonOfProblem(status, type, expiresAt)).toBe(reason);
  });
});
