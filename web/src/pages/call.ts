import { ConnectionState, type Room, RoomEvent } from 'livekit-client';
import { createControls } from '../call/controls';
import { type CallEnd, endOfCall } from '../call/ending';
import { Grid } from '../call/grid';
import { callLayout } from '../call/layout';
import { RoomMedia } from '../call/media';
import { Nameplates } from '../call/nameplates';
import { type EndReason, reasonOfDisconnect, reasonOfFailure } from '../call/reasons';
import { safetyView } from '../call/safety';
import { createSession } from '../call/session';
import { Stage } from '../call/stage';
import type { Visit } from '../desk/visit';
import type { Ticket } from '../room';
import type { StringKey } from '../strings';
import { closeDialogs } from '../ui/dialog';
import { h } from '../ui/dom';
import type { Shell } from '../ui/shell';
import { p2pPage } from './p2p';
import type { Setup } from './setup';

/** Runs one call from connecting to its end, and says why it ended. */
export async function callPage(shell: Shell, ticket: Ticket, setup: Setup, visit: Visit): Promise<CallEnd> {
  shell.status('connecting');
  try {
    return visit.entry.mode === 'p2p' ? await p2pPage(shell, ticket, setup, visit) : await sfuPage(shell, ticket, setup, visit);
  } finally {
    shell.clearAlert();
    setup.audio?.stop();
    setup.video?.stop();
  }
}

async function sfuPage(shell: Shell, ticket: Ticket, setup: Setup, visit: Visit): Promise<CallEnd> {
  const { ring } = visit;
  // The link was for a room of two.
  if (!ring || !(ticket.key || ticket.tan)) return 'refused';
  const session = await createSession(ring, setup);
  const { room } = session;
  const media = new RoomMedia(room);
  const grid = new Grid();
  const names: Nameplates = new Nameplates(
    room,
    setup.name,
    (identity) => stage.showIdentity(identity),
    (identity) => visit.names.of(identity),
  );
  const stage = new Stage(room, grid, () => names);
  const view = callView(shell, room, grid, visit, (toggle) => createControls(shell, media, ticket, visit, toggle));
  shell.show(view.el);
  followConnection(shell, room);
  session.onUndecipherable(() => shell.alert('call.undecipherable'));
  const ended = endOfCall(endOf(room), visit);
  const signalled = rememberSignal(room);
  const redraw = new MutationObserver(() => stage.showAll());
  redraw.observe(document.documentElement, { attributeFilter: ['lang'] });
  const stop = visit.onChange(() => room.state === ConnectionState.Connected && stage.showAll());
  try {
    const connected = session.connect(visit.entry.token).then(() => {
      names.introduce();
      void publish(shell, room, setup);
    });
    const failed = connected.then(
      () => ended,
      (error: unknown) => endOfCall(Promise.resolve(reasonOfFailure(error, ticket.claims.expiresAt, signalled())), visit),
    );
    return await Promise.race([ended, failed]);
  } finally {
    setup.wants = { audio: media.microphone, video: media.camera };
    void room.disconnect();
    redraw.disconnect();
    stop();
    closeDialogs();
    view.close();
    grid.close();
    session.close();
  }
}

function callView(shell: Shell, room: Room, grid: Grid, visit: Visit, controls: (toggle: HTMLElement | undefined) => HTMLElement) {
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
  const safety = safetyView();
  const showCode = (): void => safety.show(room.remoteParticipants.size > 0 ? visit.ring?.group.code : undefined);
  const showAlone = (): void => {
    alone.hidden = room.state !== ConnectionState.Connected || room.remoteParticipants.size > 0;
    showCode();
  };
  const showReach = (): void => {
    showCode();
    // Without a key nothing can begin: the person should know whom they wait for.
    if (room.state === ConnectionState.Disconnected && visit.doubts.size > 0) shell.alert('call.noKey');
  };
  showAlone();
  for (const event of [
    RoomEvent.ConnectionStateChanged,
    RoomEvent.ParticipantConnected,
    RoomEvent.ParticipantDisconnected,
  ] as const) {
    room.on(event, showAlone);
  }
  const stop = visit.onChange(showReach);
  const layout = callLayout(visit, [alone, sound], grid.el, safety.el, controls);
  return {
    el: layout.el,
    close() {
      stop();
      layout.close();
    },
  };
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
