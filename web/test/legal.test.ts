import { describe, expect, it } from 'vitest';
import { readLegal } from '../src/legal';

describe('legal documents', () => {
  it('are those that the server names', () => {
    expect(readLegal({ terms: '/terms', privacy: 'https://praxis.example/p', imprint: '/i', consent: true })).toEqual({
      pages: [
        { name: 'legal.terms', url: '/terms' },
        { name: 'legal.privacy', url: 'https://praxis.example/p' },
        { name: 'legal.imprint', url: '/i' },
      ],
      consent: true,
    });
  });

  it.each([undefined, null, {}, { terms: 5, consent: 'yes' }, { terms: 'javascript:alert(1)' }])('are none in %j', (told) =>
    expect(readLegal(told)).toEqual({ pages: [], consent: false }),
  );
});
