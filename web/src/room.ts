import { canCall, canEncrypt } from './checks';
import { type Key, type RoomLink, newKey, withKey } from './link';
import { callPage } from './pages/call';
import { goodbyePage } from './pages/goodbye';
import { noticePage } from './pages/notice';
import { setupPage } from './pages/setup';
import { type Claims, readClaims } from './token';
import type { Shell } from './ui/shell';

/** Everything a call needs to know before it begins. */
export interface Ticket {
  room: string;
  token: string;
  /** What frames are encrypted with on their way through the server; a room for two needs none. */
  key: Key | undefined;
  claims: Claims;
}

/** The journey: devices, call, goodbye, and again from the start. */
export async function openRoom(shell: Shell, link: RoomLink): Promise<void> {
  const ticket = readTicket(shell, link);
  if (!ticket) return;
  let name = '';
  for (;;) {
    const setup = await setupPage(shell, ticket, name);
    name = setup.name;
    const reason = await callPage(shell, ticket, setup);
    await goodbyePage(shell, reason);
  }
}

function readTicket(shell: Shell, link: RoomLink): Ticket | undefined {
  const claims = link.token === undefined ? undefined : readClaims(link.token);
  if (!canCall() || !(canEncrypt() || claims?.p2p)) {
    shell.show(noticePage('unsupported.title', canCall() ? 'check.cryptoBad' : 'check.browserBad'));
    return undefined;
  }
  if (link.token === undefined || !claims) {
    shell.show(noticePage('link.incompleteTitle', 'link.noToken'));
    return undefined;
  }
  const key = link.key ?? (claims.host && !claims.p2p ? mintKey(link.token) : undefined);
  if (!key && !claims.p2p) {
    shell.show(noticePage('link.incompleteTitle', 'link.noKey'));
    return undefined;
  }
  return { room: link.room, token: link.token, key, claims };
}

/** A host's first visit makes the room's key; the fragment keeps it over a reload, the server never sees it. */
function mintKey(token: string): Key {
  const key = newKey();
  history.replaceState(null, '', withKey(`#t=${token}`, key));
  return key;
}
