import type { StringKey } from './strings';

/** The operator's documents, and whether one must agree to them before a call. */
export interface Legal {
  pages: { name: StringKey; url: string }[];
  consent: boolean;
}

export const NO_LEGAL: Legal = { pages: [], consent: false };

/** Asks the server once; a server without documents has no consent step. */
export async function fetchLegal(): Promise<Legal> {
  try {
    const answer = await fetch('/v1/legal');
    return answer.ok ? readLegal(await answer.json()) : NO_LEGAL;
  } catch {
    return NO_LEGAL;
  }
}

export function readLegal(told: unknown): Legal {
  const { terms, privacy, imprint, consent } = (told ?? {}) as Record<string, unknown>;
  const page = (name: StringKey, url: unknown) => (isAddress(url) ? [{ name, url }] : []);
  return {
    pages: [...page('legal.terms', terms), ...page('legal.privacy', privacy), ...page('legal.imprint', imprint)],
    consent: consent === true,
  };
}

/** An address that a link may have: no script. */
function isAddress(url: unknown): url is string {
  return typeof url === 'string' && (url.startsWith('/') || /^https?:\/\//.test(url));
}
