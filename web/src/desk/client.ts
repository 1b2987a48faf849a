import type { Desk, Person } from '../keys/desk';
import { type ByeReason, type Order, type Outgoing, type Standing, parseIncoming } from './wire';

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 4000;
/** Failed attempts after which the reason is asked for, and again each time as many have failed. */
const ASK_EVERY = 4;

export interface DeskListener {
  standing(standing: Standing): void;
  /** The server ended the stay for good. */
  bye(reason: ByeReason): void;
  /** The connection is gone and being made anew. `ask`: it is time to find out by other means whether one is still welcome. */
  lost(ask: boolean): void;
  /** The server did not do what was asked. */
  refused?(reason: string): void;
}

/** The connection to the room's desk, which comes back by itself with the same token. */
export class DeskClient implements Desk {
  standing: Standing | undefined;
  people: readonly Person[] = [];
  private socket: WebSocket | undefined;
  private attempts = 0;
  private over = false;
  private waiting: ReturnType<typeof setTimeout> | undefined;
  private readonly hearing = new Set<(from: string, body: string) => void>();
  private readonly seeing = new Set<(people: readonly Person[]) => void>();

  constructor(
    private readonly token: string,
    private readonly listener: DeskListener,
  ) {
    window.addEventListener('online', this.online);
    this.open();
  }

  send(to: string, body: string): void {
    this.say({ type: 'message', to, body });
  }

  onMessage(heard: (from: string, body: string) => void): () => void {
    this.hearing.add(heard);
    return () => this.hearing.delete(heard);
  }

  onPeople(heard: (people: readonly Person[]) => void): () => void {
    this.seeing.add(heard);
    if (this.people.length > 0) heard(this.people);
    return () => this.seeing.delete(heard);
  }

  order(type: Order, identity: string): void {
    this.say({ type, identity });
  }

  lock(locked: boolean): void {
    this.say({ type: 'lock', locked });
  }

  /** Ends the room for all. */
  end(): void {
    this.say({ type: 'end' });
  }

  leave(): void {
    this.say({ type: 'leave' });
    this.close();
  }

  close(): void {
    this.over = true;
    window.removeEventListener('online', this.online);
    this.drop();
    this.see([]);
  }

  private readonly online = (): void => {
    if (this.socket?.readyState !== WebSocket.OPEN) this.again();
  };

  private say(message: Outgoing): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private open(): void {
    const url = new URL('/v1/desk', location.origin.replace(/^http/, 'ws'));
    url.searchParams.set('token', this.token);
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      if (socket === this.socket) this.hear(data);
    };
    socket.onclose = () => {
      if (socket !== this.socket || this.over) return;
      this.see([]);
      this.later();
      this.listener.lost(this.attempts % ASK_EVERY === 0);
    };
  }

  private drop(): void {
    clearTimeout(this.waiting);
    const { socket } = this;
    this.socket = undefined;
    socket?.close();
  }

  private again(): void {
    if (this.over) return;
    this.drop();
    this.open();
  }

  private later(): void {
    clearTimeout(this.waiting);
    const wait = Math.min(FIRST_WAIT_MS * 2 ** this.attempts, LONGEST_WAIT_MS);
    this.attempts += 1;
    this.waiting = setTimeout(() => this.again(), wait);
  }

  private hear(data: unknown): void {
    const message = parseIncoming(data);
    switch (message?.type) {
      case 'standing':
        this.attempts = 0;
        this.standing = message;
        return this.listener.standing(message);
      case 'people':
        return this.see(message.people);
      case 'message':
        for (const heard of this.hearing) heard(message.from, message.body);
        return;
      case 'refused':
        return this.listener.refused?.(message.reason);
      case 'bye':
        // The server closes the connection, and a new one takes the place again.
        if (message.rejoin) return;
        this.close();
        return this.listener.bye(message.reason);
    }
  }

  private see(people: readonly Person[]): void {
    if (people.length === 0 && this.people.length === 0) return;
    this.people = people;
    for (const heard of this.seeing) heard(people);
  }
}
