import { createControls } from '../call/controls';
import { type CallEnd, endOfCall } from '../call/ending';
import { Grid } from '../call/grid';
import { callLayout } from '../call/layout';
import { safetyView } from '../call/safety';
import type { Visit } from '../desk/visit';
import { P2pCall, type Standing } from '../p2p/call';
import type { Slot } from '../p2p/connection';
import { Player } from '../p2p/player';
import type { Ticket } from '../room';
import { readClaims } from '../token';
import { closeDialogs } from '../ui/dialog';
import { h } from '../ui/dom';
import { text } from '../ui/i18n';
import type { Shell, StatusState } from '../ui/shell';
import type { Setup } from './setup';

/** The other person's identity stays with the server; here there is only one other. */
const PARTNER = 'partner';
/** How loud is speaking, from 0 to 1. */
const SPEAKING = 0.03;
const LISTEN_MS = 250;
const RECONNECTED_MS = 4000;

const STATUS: Record<Standing, StatusState> = {
  connecting: 'connecting',
  alone: 'connected',
  connected: 'connected',
  broken: 'reconnecting',
};

/** Runs one call of two people, and says why it ended. */
export async function p2pPage(shell: Shell, ticket: Ticket, setup: Setup, visit: Visit): Promise<CallEnd> {
  const { entry } = visit;
  const certificate = await RTCPeerConnection.generateCertificate({ name: 'ECDSA', namedCurve: 'P-256' } as EcKeyGenParams);
  const call = new P2pCall(entry, setup, certificate, visit.ring?.withPartner(), () => visit.partnerIsKnowable());
  window.konsil = { p2p: call };
  const view = new View(shell, call, ticket, visit, setup);
  try {
    return await endOfCall(Promise.race([call.ended, intruded(visit)]), visit);
  } finally {
    setup.wants = { audio: call.microphone, video: call.camera };
    closeDialogs();
    call.close();
    view.close();
  }
}

/** Resolves when the other person in the call shows to have another secret than that of the link. */
function intruded(visit: Visit): Promise<'insecure'> {
  return new Promise((resolve) => {
    const look = (): void => {
      const wrong = visit.others.some(({ identity, role, state }) => state === 'here' && role !== 'reception' && visit.doubts.get(identity) === 'wrong-link');
      if (!wrong) return;
      stop();
      resolve('insecure');
    };
    const stop = visit.onChange(look);
    look();
  });
}

class View {
  private readonly grid = new Grid();
  private readonly identity: string;
  private readonly alone = h('p', { class: 'alone', t: 'call.alone' });
  private readonly safety = safetyView();
  private readonly sound = h('button', {
    type: 'button',
    class: 'big',
    t: 'call.enableSound',
    'data-testid': 'enable-sound',
  });
  private readonly player = new Player((held) => (this.sound.hidden = !held));
  private readonly listening = setInterval(() => this.listen(), LISTEN_MS);
  private readonly redraw = new MutationObserver(() => this.show());
  private readonly layout: ReturnType<typeof callLayout>;
  private broken = false;

  constructor(
    private readonly shell: Shell,
    private readonly call: P2pCall,
    ticket: Ticket,
    visit: Visit,
    private readonly setup: Setup,
  ) {
    this.identity = readClaims(visit.entry.token)?.identity ?? '';
    this.sound.hidden = true;
    this.sound.addEventListener('click', () => this.player.resume());
    this.layout = callLayout(visit, [this.alone, this.sound], this.grid.el, this.safety.el, (toggle) => createControls(shell, call, ticket, visit, toggle));
    shell.show(this.layout.el);
    call.onChange(() => this.show());
    this.redraw.observe(document.documentElement, { attributeFilter: ['lang'] });
    this.show();
  }

  close(): void {
    clearInterval(this.listening);
    this.redraw.disconnect();
    this.grid.close();
    this.layout.close();
  }

  private show(): void {
    const { call } = this;
    this.follow(call.standing);
    this.player.choose(call.activeDevice('audiooutput') ?? '');
    this.showOwn();
    if (call.present) this.showPartner();
    else this.grid.remove(PARTNER);
    this.alone.hidden = call.standing !== 'alone';
    this.safety.show(call.code);
  }

  private follow(standing: Standing): void {
    const mended = this.broken && (standing === 'connected' || standing === 'alone');
    this.broken = standing === 'broken';
    // "Reconnected" stands a while.
    const state = document.querySelector<HTMLElement>('.status')?.dataset.state;
    if (!mended && state === 'reconnected' && STATUS[standing] === 'connected') return;
    this.shell.status(mended ? 'reconnected' : STATUS[standing]);
    if (mended) setTimeout(() => !this.broken && this.grid.el.isConnected && this.shell.status('connected'), RECONNECTED_MS);
  }

  private showOwn(): void {
    const { call } = this;
    const tile = this.grid.tile(this.identity, true);
    const name = text('call.you', { name: this.setup.name });
    tile.setName(name);
    tile.setVideo(this.player.of(call.own('camera')));
    tile.setMuted(!call.microphone);
    if (!call.screen) return this.grid.removeScreen(this.identity);
    const screen = this.grid.screen(this.identity, true);
    screen.setScreenOf(name);
    screen.setVideo(this.player.of(call.own('screen')));
  }

  private showPartner(): void {
    const { presence } = this.call;
    const tile = this.grid.tile(PARTNER, false);
    const name = presence?.name || text('call.guest', { n: 1 });
    const play = (slot: Slot, on = true) => this.player.of(on ? this.call.heard(slot) : undefined);
    tile.setName(name);
    tile.setVideo(play('camera', presence?.camera));
    tile.setAudio(play('microphone'));
    tile.setMuted(presence?.microphone === false);
    tile.setWeak(this.call.standing === 'broken');
    if (!presence?.screen) return this.grid.removeScreen(PARTNER);
    const screen = this.grid.screen(PARTNER, false);
    screen.setScreenOf(name);
    screen.setVideo(play('screen'));
    screen.setAudio(play('screenAudio'));
  }

  private listen(): void {
    const [source] = this.call.connection?.receiver('microphone')?.getSynchronizationSources() ?? [];
    this.grid.speaking(new Set((source?.audioLevel ?? 0) > SPEAKING ? [PARTNER] : []));
  }
}
