import { NotAdmitted, admission } from './call/admission';
import type { EndReason } from './call/reasons';
import { canCall, canEncrypt } from './checks';
import { dropStay } from './desk/stay';
import { Visit } from './desk/visit';
import type { Tan } from './keys/tan';
import type { Legal } from './legal';
import { type Key, type RoomLink, newKey, withKey } from './link';
import { callPage } from './pages/call';
import { goodbyePage } from './pages/goodbye';
import { noticePage } from './pages/notice';
import { receptionPage } from './pages/reception';
import { offerRetype } from './pages/retype';
import { type Setup, setupPage } from './pages/setup';
import { enterByTan } from './pages/tan';
import { waitingPage } from './pages/waiting';
import { type Claims, readClaims } from './token';
import type { Shell } from './ui/shell';

/** Everything a call needs to know before it begins. */
export interface Ticket {
  token: string;
  /** The secret of the link, from which the keys of the room come; a room for two needs none. */
  key: Key | undefined;
  /** Who came by TAN. */
  tan?: Tan;
  tenant?: string;
  claims: Claims;
  legal: Legal;
}

/** After these the TAN, or what lets its browser come back, is good for nothing. */
const FINAL: EndReason[] = ['closed', 'removed', 'turnedAway', 'expired', 'used'];

/** The journey: devices, waiting, call, goodbye, and again from the start. */
export async function openRoom(shell: Shell, link: RoomLink, legal: Legal): Promise<void> {
  const ticket = readTicket(shell, link, legal);
  if (ticket) await journey(shell, ticket);
}

export async function openByTan(shell: Shell, tenant: string, legal: Legal): Promise<void> {
  if (!supported(shell, true)) return;
  const { tan, entry } = await enterByTan(shell, tenant, legal);
  const claims = readClaims(entry.token);
  if (claims) await journey(shell, { token: entry.token, key: undefined, tan, tenant, claims, legal });
}

async function journey(shell: Shell, ticket: Ticket): Promise<void> {
  let name = '';
  for (;;) {
    const setup = ticket.claims.role === 'reception' ? atReception : await setupPage(shell, ticket, name);
    name = setup.name;
    const reason = await visit(shell, ticket, setup);
    if (ticket.tenant !== undefined && FINAL.includes(reason)) dropStay(ticket.tenant);
    await goodbyePage(shell, reason);
  }
}

const atReception: Setup = { name: '', canPublish: false, devices: {} };

/** One stay, from the way in to the end. */
async function visit(shell: Shell, ticket: Ticket, chosen: Setup): Promise<EndReason> {
  shell.status('connecting');
  const { key, tan } = ticket;
  let setup = chosen;
  try {
    const entry = await admission(ticket);
    if (entry.waiting || entry.mode === 'p2p') keepPlace(ticket, entry.token);
    const visit = new Visit(entry, { name: setup.name, key, tan });
    try {
      if (ticket.tenant !== undefined && tan) offerRetype(visit, ticket.tenant, tan.admit);
      if (ticket.claims.role === 'reception') return await receptionPage(shell, visit);
      for (let putBack = false; ; putBack = true) {
        const early = await stood(visit);
        if (early) return early;
        if (visit.standing?.state === 'waiting') {
          const waited = await waitingPage(shell, visit, setup, putBack);
          if ('reason' in waited) return waited.reason;
          setup = waited.setup;
        }
        const reason = await callPage(shell, ticket, setup, visit);
        if (reason !== 'putBack') return reason;
        setup = { ...setup, audio: undefined, video: undefined };
      }
    } finally {
      visit.close();
    }
  } catch (error) {
    if (error instanceof NotAdmitted) return error.reason;
    throw error;
  } finally {
    shell.clearAlert();
    setup.audio?.stop();
    setup.video?.stop();
  }
}

/** Resolves when the desk has said where one stands, or that one may not stay. */
function stood(visit: Visit): Promise<EndReason | undefined> {
  if (visit.standing) return Promise.resolve(undefined);
  return Promise.race([
    visit.ended,
    new Promise<undefined>((resolve) => {
      const stop = visit.onChange(() => {
        if (!visit.standing) return;
        stop();
        resolve(undefined);
      });
    }),
  ]);
}

/** A reload takes the same place again instead of asking for another one: in the waiting room, or among two. */
function keepPlace({ key, tan }: Ticket, token: string): void {
  if (tan) return;
  const fragment = `#t=${token}`;
  history.replaceState(null, '', key ? withKey(fragment, key) : fragment);
}

function supported(shell: Shell, encrypts: boolean): boolean {
  if (canCall() && (!encrypts || canEncrypt())) return true;
  shell.show(noticePage('unsupported.title', canCall() ? 'check.cryptoBad' : 'check.browserBad'));
  return false;
}

function readTicket(shell: Shell, link: RoomLink, legal: Legal): Ticket | undefined {
  const claims = link.token === undefined ? undefined : readClaims(link.token);
  const keyless = claims?.p2p === true || claims?.role === 'reception';
  if (!supported(shell, !keyless)) return undefined;
  if (link.token === undefined || !claims) {
    shell.show(noticePage('link.incompleteTitle', 'link.noToken'));
    return undefined;
  }
  const key = link.key ?? (claims.host && !claims.p2p ? mintKey(link.token) : undefined);
  if (!key && !keyless) {
    shell.show(noticePage('link.incompleteTitle', 'link.noKey'));
    return undefined;
  }
  return { token: link.token, key, claims, legal };
}

/** A host's first visit makes the room's key; the fragment keeps it over a reload, the server never sees it. */
function mintKey(token: string): Key {
  const key = newKey();
  history.replaceState(null, '', withKey(`#t=${token}`, key));
  return key;
}
