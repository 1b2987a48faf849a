/** What browsers say of a transport's cryptography (W3C webrtc-stats §8.15); `tlsGroup` is not in TypeScript's library yet. */
export interface Negotiated {
  dtlsState?: string;
  dtlsCipher?: string;
  srtpCipher?: string;
  tlsVersion?: string;
  tlsGroup?: string;
}

/** DTLS 1.2 and 1.3. */
const VERSIONS = ['FEFD', 'FEFC'];
/** Suites of DTLS 1.3 and 1.2 by their IANA names; Chromium writes those of 1.2 so, too. */
const DTLS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256',
  'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384',
];
/** RFC 7714; Firefox and Chromium write the prefix. */
const SRTP = ['SRTP_AEAD_AES_128_GCM', 'SRTP_AEAD_AES_256_GCM', 'AEAD_AES_128_GCM', 'AEAD_AES_256_GCM'];
const GROUPS = ['P-256', 'P-384', 'secp256r1', 'secp384r1'];

/**
 * Whether what two browsers chose is in the profile "bsi"; `undefined` while there is nothing to judge by.
 *
 * A transport that is connected and does not say its suites cannot be vouched for. No browser tells the group yet, so that it
 * counts only where it is told.
 */
export function inProfile({ dtlsState, dtlsCipher, srtpCipher, tlsVersion, tlsGroup }: Negotiated): boolean | undefined {
  if (dtlsState !== 'connected') return undefined;
  return (
    DTLS.includes(dtlsCipher ?? '') &&
    SRTP.includes(srtpCipher ?? '') &&
    (tlsVersion === undefined || VERSIONS.includes(tlsVersion.toUpperCase())) &&
    (tlsGroup === undefined || GROUPS.includes(tlsGroup))
  );
}

/** Asks a connection what was chosen. */
export async function negotiated(pc: RTCPeerConnection): Promise<Negotiated> {
  const report = await pc.getStats();
  let found: Negotiated = {};
  report.forEach((part: { type: string }) => {
    if (part.type === 'transport') found = part as Negotiated;
  });
  return found;
}

/**
 * Whether this browser chooses AES-GCM for SRTP where the choice is its own, as the DTLS server's is (RFC 5764 §4.1).
 *
 * Those built on libwebrtc choose AES-CM with HMAC-SHA1 there, whatever the other side would rather have; Gecko chooses GCM.
 */
export function choosesGcm(userAgent: string): boolean {
  return /\bGecko\/\d/.test(userAgent) && /\bFirefox\//.test(userAgent);
}

/** A first offer that leaves the role of the DTLS server, and with it the choice, to whoever answers it. */
export function takeChoice(offer: string): string {
  return offer.replace(/^a=setup:actpass/gm, 'a=setup:active');
}
