import { ConnectionError, ConnectionErrorReason, DisconnectReason } from 'livekit-client';
import type { StringKey } from '../strings';

export type EndReason =
  | 'left'
  | 'full'
  | 'expired'
  | 'refused'
  | 'removed'
  | 'turnedAway'
  | 'used'
  | 'early'
  | 'locked'
  | 'busy'
  | 'closed'
  | 'replaced'
  | 'shutdown'
  | 'unreachable'
  | 'media'
  | 'cipher'
  | 'insecure'
  | 'lost';

interface Advice {
  help: StringKey;
  rejoin: boolean;
}

export function adviceFor(reason: EndReason): Advice {
  switch (reason) {
    case 'expired':
    case 'refused':
    case 'used':
      return { help: 'end.helpNewLink', rejoin: false };
    case 'turnedAway':
      return { help: 'end.helpCall', rejoin: false };
    case 'early':
    case 'busy':
      return { help: 'end.helpLater', rejoin: true };
    case 'locked':
      return { help: 'end.helpLocked', rejoin: true };
    case 'removed':
    case 'closed':
      return { help: 'end.helpClose', rejoin: false };
    case 'insecure':
      return { help: 'end.helpInsecure', rejoin: true };
    case 'left':
    case 'replaced':
      return { help: 'end.helpClose', rejoin: true };
    case 'cipher':
      return { help: 'end.helpCipher', rejoin: false };
    case 'unreachable':
    case 'media':
    case 'lost':
      return { help: 'end.helpNetwork', rejoin: true };
    default:
      return { help: 'end.helpRetry', rejoin: true };
  }
}

/** Why a running call ended. */
export function reasonOfDisconnect(reason: DisconnectReason | undefined): EndReason {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return 'left';
    case DisconnectReason.DUPLICATE_IDENTITY:
      return 'replaced';
    case DisconnectReason.PARTICIPANT_REMOVED:
      return 'removed';
    case DisconnectReason.ROOM_DELETED:
    case DisconnectReason.ROOM_CLOSED:
      return 'closed';
    case DisconnectReason.SERVER_SHUTDOWN:
      return 'shutdown';
    case DisconnectReason.USER_REJECTED:
      return 'refused';
    case DisconnectReason.MEDIA_FAILURE:
      return 'media';
    default:
      return 'lost';
  }
}

/** Why a call never began. `expiresAt` is the token's own claim in seconds; `signalled`: the server had let us in. */
export function reasonOfFailure(
  error: unknown,
  expiresAt: number | undefined,
  signalled: boolean,
): EndReason {
  if (!(error instanceof ConnectionError)) return 'lost';
  if (error.reason === ConnectionErrorReason.Cancelled) return 'left';
  if (error.reason === ConnectionErrorReason.LeaveRequest)
    return reasonOfDisconnect(error.context as DisconnectReason);
  if (signalled) return 'media';
  if (error.reason === ConnectionErrorReason.NotAllowed) return refusal(error.message, expiresAt);
  return error.reason === ConnectionErrorReason.ServiceNotFound ? 'closed' : 'unreachable';
}

/**
 * livekit-client hands on the text of a 401 or 403 answer, and the status alone cannot tell a full room
 * from a foreign one.
 */
function refusal(answer: string, expiresAt: number | undefined): EndReason {
  if (/\bexpired\b/i.test(answer) || (expiresAt !== undefined && expiresAt * 1000 <= Date.now()))
    return 'expired';
  if (/\bfull\b/i.test(answer)) return 'full';
  if (/\b(removed|revoked)\b/i.test(answer)) return 'removed';
  return /\b(closed|ended|does not exist)\b/i.test(answer) ? 'closed' : 'refused';
}
