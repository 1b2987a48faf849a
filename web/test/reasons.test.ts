import { ConnectionError, DisconnectReason } from 'livekit-client';
import { describe, expect, it } from 'vitest';
import { reasonOfDisconnect, reasonOfFailure } from '../src/call/reasons';

describe('why a call did not begin', () => {
  const future = Date.now() / 1000 + 600;
  const refused = (text: string, expiresAt = future) =>
    reasonOfFailure(ConnectionError.notAllowed(text, 403), expiresAt, false);

  it.each([
    ['{"title":"The room is full"}', 'full'],
    ['token is expired', 'expired'],
    ['{"title":"Room closed"}', 'closed'],
    ['{"title":"Revoked"}', 'removed'],
    ['no', 'refused'],
  ])('%s', (text, reason) => expect(refused(text)).toBe(reason));

  it('reads the own token for its end', () => expect(refused('no', 1)).toBe('expired'));

  it('separates the server from the media path', () => {
    expect(reasonOfFailure(ConnectionError.serverUnreachable('x'), future, false)).toBe('unreachable');
    expect(reasonOfFailure(ConnectionError.timeout('x'), future, true)).toBe('media');
  });

  it('takes the reason from a leave message, and a cancelled join as leaving', () => {
    expect(
      reasonOfFailure(ConnectionError.leaveRequest('x', DisconnectReason.DUPLICATE_IDENTITY), future, true),
    ).toBe('replaced');
    expect(reasonOfFailure(ConnectionError.cancelled('x'), future, false)).toBe('left');
  });
});

it('gives every disconnect a reason', () => {
  expect(reasonOfDisconnect(DisconnectReason.ROOM_DELETED)).toBe('closed');
  expect(reasonOfDisconnect(DisconnectReason.PARTICIPANT_REMOVED)).toBe('removed');
  expect(reasonOfDisconnect(undefined)).toBe('lost');
});
