import type { Person, Role } from '../keys/desk';

/** Where one stands, as the server says it. */
export interface Standing {
  state: 'waiting' | 'admitted';
  identity: string;
  role: Role;
  mode: 'sfu' | 'p2p';
  locked: boolean;
}

/** Why the server closed a desk. */
export type ByeReason = 'refused' | 'removed' | 'ended' | 'replaced' | 'revoked' | 'shutdown' | 'expired' | 'left';

export type Incoming =
  | ({ type: 'standing' } & Standing)
  | { type: 'people'; people: Person[] }
  | { type: 'message'; from: string; body: string }
  | { type: 'refused'; reason: string; detail: string }
  | { type: 'bye'; reason: ByeReason; rejoin: boolean };

/** What moderators may do with somebody. */
export type Order = 'admit' | 'refuse' | 'putback' | 'remove' | 'mute' | 'mismatch';

export type Outgoing =
  | { type: 'message'; to: string; body: string }
  | { type: Order; identity: string }
  | { type: 'lock'; locked: boolean }
  | { type: 'end' }
  | { type: 'leave' };

/** `undefined` for what the page does not understand; a newer server may say more. */
export function parseIncoming(text: unknown): Incoming | undefined {
  try {
    const message = JSON.parse(String(text)) as Partial<Incoming> | null;
    switch (message?.type) {
      case 'people':
        return Array.isArray(message.people) ? (message as Incoming) : undefined;
      case 'standing':
        return typeof message.identity === 'string' ? (message as Incoming) : undefined;
      case 'message':
        return typeof message.from === 'string' && typeof message.body === 'string' ? (message as Incoming) : undefined;
      case 'refused':
      case 'bye':
        return message as Incoming;
      default:
        return undefined;
    }
  } catch {
    return undefined;
  }
}
