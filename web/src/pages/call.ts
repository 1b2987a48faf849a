import { type Room, RoomEvent } from 'livekit-client';
import { createControls } from '../call/controls';
import { Grid } from '../call/grid';
import { Nameplates } from '../call/nameplates';
import { type EndReason, reasonOfDisconnect, reasonOfFailure } from '../call/reasons';
import { type Session, createSession } from '../call/session';
import { Stage } from '../call/stage';
import type { Ticket } from '../room';
import { h } from '../ui/dom';
import type { Shell } from '../ui/shell';
import type { Setup } from './setup';

/** Runs one call from connecting to its end, and says why it ended. */
export async function callPage(shell: Shell, ticket: Ticket, setup: Setup): Promise<EndReason> {
  shell.status('connecting');
  const session = await createSession(ticket.key, setup);
  const { room } = session;
  const grid = new Grid();
  const names: Nameplates = new Nameplates(room, setup.name, (identity) => stage.showIdentity(identity));
  const stage = new Stage(room, grid, () => names);
  shell.show(callView(shell, room, ticket, grid));
  followConnection(shell, room);
  const ended = endOf(room);
  const redraw = new MutationObserver(() => stage.showAll());
  redraw.observe(document.documentElement, { attributeFilter: ['lang'] });
  try {
    const failure = await start(session, ticket, setup);
    if (failure) shell.alert(failure);
    return await ended;
  } catch (error) {
    return error as EndReason;
  } finally {
    redraw.disconnect();
    document.querySelector('dialog')?.close();
    shell.clearAlert();
    grid.close();
    stopTracks(setup);
    session.close();
  }
}
