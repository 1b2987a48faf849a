import type { Role } from './keys/desk';
import { decodeBase64Url } from './link';

/** What the page needs to know of its own token. The server checks it; the page only reads it. */
export interface Claims {
  role: Role;
  host: boolean;
  roomAdmin: boolean;
  canPublish: boolean;
  /** The token is an invitation's: it stands for many guests, not for one person. */
  invitation: boolean;
  expiresAt: number | undefined;
  /** Whom the token names. */
  identity: string;
  /** The room is for two whose browsers connect to each other, which needs no key in the link. The server decides. */
  p2p: boolean;
}

interface Payload {
  exp?: number;
  sub?: string;
  attributes?: Record<string, string>;
  video?: { roomAdmin?: boolean; canPublish?: boolean };
}

export function readClaims(token: string): Claims | undefined {
  const bytes = decodeBase64Url(token.split('.')[1] ?? '');
  if (!bytes?.length) return undefined;
  try {
    const payload = JSON.parse(new TextDecoder().decode(bytes)) as Payload;
    return {
      role: roleIn(payload),
      host: payload.attributes?.['konsil.role'] === 'host',
      roomAdmin: payload.video?.roomAdmin === true,
      canPublish: payload.video?.canPublish !== false,
      invitation: payload.attributes?.['konsil.invitation'] !== undefined,
      expiresAt: payload.exp,
      identity: payload.sub ?? '',
      p2p: payload.attributes?.['konsil.mode'] === 'p2p',
    };
  } catch {
    return undefined;
  }
}

/** A token without a role is a LiveKit application's: it takes part as a guest does. */
function roleIn({ attributes }: Payload): Role {
  const role = attributes?.['konsil.role'];
  return role === 'host' || role === 'reception' || role === 'observer' ? role : 'guest';
}
