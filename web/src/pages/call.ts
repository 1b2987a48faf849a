import { ConnectionState, type Room, RoomEvent } from 'livekit-client';
import { type Admission, NotAdmitted, admission } from '../call/admission';
import { createControls } from '../call/controls';
import { Grid } from '../call/grid';
import { RoomMedia } from '../call/media';
import { Nameplates } from '../call/nameplates';
import { type EndReason, reasonOfDisconnect, reasonOfFailure } from '../call/reasons';
import { createSession } from '../call/session';
import { Stage } from '../call/stage';
import { fixedKey } from '../keys/keyring';
import type { Key } from '../link';
import type { Ticket } from '../room';
import type { StringKey } from '../strings';
import { h } from '../ui/dom';
import type { Shell } from '../ui/shell';
import { p2pPage } from './p2p';
import type { Setup } from './setup';

/** Runs one call from connecting to its end, and says why it ended. */
export async function callPage(shell: Shell, ticket: Ticket, setup: Setup): Promise<EndReason> {
  shell.status('connecting');
  try {
    const entry = await admission(ticket);
    if (entry.mode === 'p2p') return await p2pPage(shell, ticket, setup, entry);
    // The link was for a room of two.
    return ticket.key ? await sfuPage(shell, { ...ticket, key: ticket.key }, setup, entry) : 'refused';
  } catch (error) {
    if (error instanceof NotAdmitted) return error.reason;
    throw error;
  } finally {
    shell.clearAlert();
    setup.audio?.stop();
    setup.video?.stop();
  }
}

async function sfuPage(
  shell: Shell,
  ticket: Ticket & { key: Key },
  setup: Setup,
  entry: Admission,
): Promise<EndReason> {
  const session = await createSession(fixedKey(ticket.key), setup);
  const { room } = session;
  const grid = new Grid();
  const names: Nameplates = new Nameplates(room, setup.name, (identity) => stage.showIdentity(identity));
  const stage = new Stage(room, grid, () => names);
  shell.show(callView(shell, room, ticket, grid));
  followConnection(shell, room);
  session.onUndecipherable(() => shell.alert('call.undecipherable'));
  const ended = endOf(room);
  const signalled = rememberSignal(room);
  const redraw = new MutationObserver(() => stage.showAll());
  redraw.observe(document.documentElement, { attributeFilter: ['lang'] });
  try {
    await session.connect(entry.token);
    names.introduce();
    void publish(shell, room, setup);
    return await ended;
  } catch (error) {
    await room.disconnect();
    return reasonOfFailure(error, ticket.claims.expiresAt, signalled());
  } finally {
    redraw.disconnect();
    document.querySelector('dialog')?.close();
    grid.close();
    session.close();
  }
}

function callView(shell: Shell, room: Room, ticket: Ticket, grid: Grid): HTMLElement {
  const sound = h('button', {
    type: 'button',
    class: 'big',
    t: 'call.enableSound',
    'data-testid': 'enable-sound',
  });
  sound.hidden = true;
  sound.addEventListener('click', () => void room.startAudio());
  room.on(RoomEvent.AudioPlaybackStatusChanged, () => (sound.hidden = room.canPlaybackAudio));
  const alone = h('p', { class: 'alone', t: 'call.alone' });
  const showAlone = (): void => {
    alone.hidden = room.state !== ConnectionState.Connected || room.remoteParticipants.size > 0;
  };
  showAlone();
  for (const event of [
    RoomEvent.ConnectionStateChanged,
    RoomEvent.ParticipantConnected,
    RoomEvent.ParticipantDisconnected,
  ] as const) {
    room.on(event, showAlone);
  }
  return h(
    'section',
    { class: 'call' },
    h('h1', { class: 'sr-only', tabindex: '-1', t: 'call.title' }),
    alone,
    sound,
    grid.el,
    createControls(shell, new RoomMedia(room), ticket),
  );
}

/** Says in plain words how the connection stands. */
function followConnection(shell: Shell, room: Room): void {
  room
    .on(RoomEvent.Connected, () => shell.status('connected'))
    .on(RoomEvent.Reconnecting, () => shell.status('reconnecting'))
    .on(RoomEvent.SignalReconnecting, () => shell.status('reconnecting'))
    .on(RoomEvent.Reconnected, () => {
      shell.status('reconnected');
      setTimeout(() => room.state === ConnectionState.Connected && shell.status('connected'), 4000);
    });
}

function endOf(room: Room): Promise<EndReason> {
  return new Promise((resolve) =>
    room.once(RoomEvent.Disconnected, (reason) => resolve(reasonOfDisconnect(reason))),
  );
}

/** Tells later whether the server had let us in, which separates its refusals from trouble with the media path. */
function rememberSignal(room: Room): () => boolean {
  let signalled = false;
  room.once(RoomEvent.SignalConnected, () => (signalled = true));
  return () => signalled;
}

async function publish(shell: Shell, room: Room, { audio, video }: Setup): Promise<void> {
  const me = room.localParticipant;
  const failed = (problem: StringKey) => (): void => {
    if (room.state === ConnectionState.Connected) shell.alert(problem);
  };
  await Promise.all([
    audio && me.publishTrack(audio).catch(failed('media.microphone.failed')),
    video && me.publishTrack(video).catch(failed('media.camera.failed')),
  ]);
}
