/** What somebody may be in a room. */
export type Role = 'host' | 'guest' | 'reception' | 'observer';

/** Somebody whose desk is open, as the server says it. */
export interface Person {
  identity: string;
  role: Role;
  state: 'waiting' | 'here';
  /** Seconds since 1970. */
  since: number;
  /** Moderators are told how a guest came who has a TAN. */
  invitation?: Invitation;
}

/** A guest's TAN, as far as the server knows it. */
export interface Invitation {
  id: string;
  /** The TAN under the practice key, base64url. */
  sealed?: string;
  /** The secret half of a TAN that the server made itself. */
  secret?: string;
}

/** How many characters the body of a message may have. */
export const LONGEST_BODY = 4096;

/**
 * What the keys need of the connection to the server's desk. The server relays bodies and never understands them; it may lose
 * them, hold them back or change their order.
 */
export interface Desk {
  /** Says something to one person. What cannot be sent now is lost. */
  send(to: string, body: string): void;
  /** Hears what others say from now on, until the answer is called. */
  onMessage(heard: (from: string, body: string) => void): () => void;
  /**
   * Hears who is there, oneself included: at once if it is known already, again at each change, until the answer is called.
   * An empty list says that one's own connection is lost.
   */
  onPeople(heard: (people: readonly Person[]) => void): () => void;
}

/** Hosts and reception let guests in. */
export function moderates({ role }: Pick<Person, 'role'>): boolean {
  return role === 'host' || role === 'reception';
}
