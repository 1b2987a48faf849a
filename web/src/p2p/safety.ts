const GROUPS = 6;
const DIGITS = 5;
const BYTES_PER_GROUP = 5;
const FINGERPRINT = /^a=fingerprint:(\S+)[ ]+([0-9A-Fa-f:]+)\s*$/gm;
const SHA256 = /^[0-9A-F]{2}(:[0-9A-F]{2}){31}$/;

/**
 * The one certificate that a description lets in, by its SHA-256 fingerprint (RFC 8122). `undefined` if it names none, another
 * hash or more than one: then nobody could say which certificate a code stands for.
 */
export function fingerprintOf(sdp: string): string | undefined {
  const named = new Set<string>();
  for (const [, hash, value] of sdp.matchAll(FINGERPRINT)) {
    named.add(`${hash?.toLowerCase()} ${value?.toUpperCase()}`);
  }
  const mentioned = sdp.match(/fingerprint:/gi)?.length ?? 0;
  const understood = [...sdp.matchAll(FINGERPRINT)].length;
  const [only, ...more] = named;
  if (only === undefined || more.length > 0 || mentioned !== understood) return undefined;
  const [hash, value] = only.split(' ');
  return hash === 'sha-256' && value !== undefined && SHA256.test(value) ? value : undefined;
}

/**
 * Six groups of five digits that both sides of a connection see alike, and somebody between them would see differently.
 * Sixteen bits a group would be easier to read out, but certificates are cheap to try: 99 bits leave no way to find two
 * that give the same code while the phone rings.
 */
export async function safetyCode(own: string, other: string): Promise<string> {
  const words = `konsil safety code 1\n${[own, other].sort().join('\n')}`;
  return digits(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(words))));
}

/** A hash as people read it out. */
export function digits(hash: Uint8Array): string {
  return Array.from({ length: GROUPS }, (_, group) => {
    const bytes = hash.subarray(group * BYTES_PER_GROUP, (group + 1) * BYTES_PER_GROUP);
    const number = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
    return String(number % 10 ** DIGITS).padStart(DIGITS, '0');
  }).join(' ');
}
