/** How things stand in the room, as the server says it. */
export interface PeerNews {
  session: string;
  present: boolean;
  peer?: string;
  polite: boolean;
  hide_addresses: boolean;
  /** Which algorithms the server's operator wants between the browsers. */
  crypto?: 'default' | 'bsi';
  ice_servers: RTCIceServer[];
}

type Incoming =
  | ({ type: 'peer' } & PeerNews)
  | { type: 'description'; description: RTCSessionDescriptionInit }
  | { type: 'candidate'; candidate: RTCIceCandidateInit | null }
  | { type: 'bye'; reason: string; rejoin: boolean }
  | { type: 'refused'; reason: string };

export type Outgoing =
  | { type: 'description'; peer?: string; description: RTCSessionDescription | null }
  | { type: 'candidate'; peer?: string; candidate: RTCIceCandidate | null }
  | { type: 'peer' }
  | { type: 'bye' };

interface Listener {
  peer(news: PeerNews): void;
  description(description: RTCSessionDescriptionInit): void;
  candidate(candidate: RTCIceCandidateInit | null): void;
  /** The server ended the session for good. */
  bye(reason: string): void;
  /** The connection is gone and being made again; `attempts` have failed. */
  lost(attempts: number): void;
}

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 4000;
const ANSWER_MS = 4000;

/** The WebSocket to the server, which comes back by itself and goes on with the same session. */
export class Signal {
  private socket: WebSocket | undefined;
  private session: string | undefined;
  private attempts = 0;
  private over = false;
  private waiting: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly token: string,
    private readonly listener: Listener,
  ) {
    this.open();
  }

  /** Says something, if the connection stands; what is lost is said anew when it comes back. */
  send(message: Outgoing): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** Asks for news; a connection that gives no answer is made anew. */
  ask(): void {
    this.send({ type: 'peer' });
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.again(), ANSWER_MS);
  }

  /** Makes the connection anew at once. */
  again(): void {
    if (this.over) return;
    this.drop();
    this.open();
  }

  /** Begins a new session, in which both make a new connection to each other. */
  anew(): void {
    this.session = undefined;
    this.again();
  }

  close(): void {
    this.send({ type: 'bye' });
    this.over = true;
    this.drop();
  }

  private drop(): void {
    clearTimeout(this.waiting);
    const { socket } = this;
    this.socket = undefined;
    socket?.close();
  }

  private open(): void {
    const url = new URL('/v1/p2p', location.origin.replace(/^http/, 'ws'));
    url.searchParams.set('token', this.token);
    if (this.session !== undefined) url.searchParams.set('resume', this.session);
    const socket = new WebSocket(url);
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      if (socket === this.socket) this.hear(data);
    };
    socket.onclose = () => {
      if (socket !== this.socket || this.over) return;
      this.listener.lost(this.attempts);
      this.later();
    };
  }

  private later(): void {
    clearTimeout(this.waiting);
    const wait = Math.min(FIRST_WAIT_MS * 2 ** this.attempts, LONGEST_WAIT_MS);
    this.attempts += 1;
    this.waiting = setTimeout(() => this.again(), wait);
  }

  private hear(data: unknown): void {
    const message = parse(data);
    switch (message?.type) {
      case 'peer':
        clearTimeout(this.waiting);
        this.attempts = 0;
        this.session = message.session;
        return this.listener.peer(message);
      case 'description':
        return this.listener.description(message.description);
      case 'candidate':
        return this.listener.candidate(message.candidate);
      case 'bye':
        return this.bye(message.reason, message.rejoin);
    }
  }

  private bye(reason: string, rejoin: boolean): void {
    this.session = undefined;
    // The server closes the connection, and a new one begins a new session.
    if (rejoin) return;
    this.over = true;
    this.listener.bye(reason);
  }
}

function parse(data: unknown): Incoming | undefined {
  try {
    return JSON.parse(String(data)) as Incoming;
  } catch {
    return undefined;
  }
}
