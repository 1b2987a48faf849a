import { describe, expect, it } from 'vitest';
import { isVouchedFor, vouch } from '../src/keys/certificates';

const secret = Uint8Array.from({ length: 16 }, (_, at) => at);
const [A, B, M] = ['AA:01', 'BB:02', 'CC:03'];

describe('the certificates of a connection', () => {
  it('are vouched for by both sides', () => {
    expect(isVouchedFor(vouch(secret, 'polite', A, B), secret, 'impolite', B, A)).toBe(true);
    expect(isVouchedFor(vouch(secret, 'impolite', B, A), secret, 'polite', A, B)).toBe(true);
  });

  it.each([
    ['with somebody in between', vouch(secret, 'polite', A, M), B],
    ['by somebody in between, who has no secret', vouch(new Uint8Array(16), 'polite', M, B), B],
    ['by one’s own word', vouch(secret, 'impolite', B, A), B],
    ['by the other side’s word as one’s own side', vouch(secret, 'impolite', A, B), B],
    ['by nothing', '', B],
    ['by no text of ours', '*', B],
  ])('are not vouched for %s', (_, said, own) => expect(isVouchedFor(said, secret, 'impolite', own, A)).toBe(false));

  it('are vouched for alike for ever', () => {
    expect(vouch(secret, 'polite', A, B)).toMatchInlineSnapshot(`"zQjcU_pm00vib8XdVSUeZUIih49s1vPb3rprIFuSUzw"`);
  });
});
