/** How the relay is reached. */
export type Way = 'udp' | 'tcp' | 'tls';

/** What a firewall must let out for a way. */
export interface Rule {
  protocol: 'udp' | 'tcp';
  host: string;
  port: number;
}

/** Reads `turn:host:port?transport=udp` and its kin (RFC 7065). */
export function readTurn(url: string): { way: Way; rule: Rule } | undefined {
  const match = /^(turns?):(.+):(\d+)(?:\?transport=(udp|tcp))?$/.exec(url);
  if (!match) return undefined;
  const [, scheme, host = '', port, transport] = match;
  const protocol = transport ?? (scheme === 'turns' ? 'tcp' : 'udp');
  if (protocol !== 'udp' && protocol !== 'tcp') return undefined;
  if (scheme === 'turns' && protocol === 'udp') return undefined;
  return { way: scheme === 'turns' ? 'tls' : protocol, rule: { protocol, host, port: Number(port) } };
}

/** The servers with only one of their ways. */
export function serversOf(servers: RTCIceServer[], way: Way): RTCIceServer[] {
  const only = (server: RTCIceServer) => ({ ...server, urls: [server.urls].flat().filter((url) => readTurn(url)?.way === way) });
  return servers.map(only).filter(({ urls }) => urls.length > 0);
}

/** What a firewall must let out for the first of these servers. */
export function ruleOf(servers: RTCIceServer[]): Rule | undefined {
  const [url] = servers.flatMap((server) => server.urls);
  return url === undefined ? undefined : readTurn(url)?.rule;
}

/** What came back of the packets that were sent. */
export interface Measured {
  sent: number;
  back: number;
  /** The median, in milliseconds. */
  roundTrip: number;
}

export function measured(sent: number, roundTrips: number[]): Measured {
  const sorted = [...roundTrips].sort((one, other) => one - other);
  return { sent, back: sorted.length, roundTrip: Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0) };
}

/** One packet in twenty may be lost, and half a second is as long as people can talk with. */
export function isGood({ sent, back, roundTrip }: Measured): boolean {
  return back >= sent * 0.95 && roundTrip <= 500;
}
