type Described = Pick<RTCSessionDescriptionInit, 'type' | 'sdp'> | null;

/**
 * An offer for a connection that stands, with the DTLS role that the other side already has instead of a choice.
 *
 * Browsers offer `actpass` again and again (RFC 8829 §5.2.2). Firefox then answers `active` even where it was passive, which
 * Chromium cannot follow: the roles of a DTLS connection last as long as it does (RFC 8842 §5.5).
 */
export function keepRoles(offer: string, local: Described, remote: Described): string {
  const answer = local?.type === 'answer' ? local : remote;
  const role = /^a=setup:(active|passive)\s*$/m.exec(answer?.sdp ?? '')?.[1];
  if (role === undefined) return offer;
  const opposite = role === 'active' ? 'passive' : 'active';
  return offer.replace(/^a=setup:actpass/gm, `a=setup:${answer === local ? opposite : role}`);
}
