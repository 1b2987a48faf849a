import { type Person, moderates } from '../keys/desk';
import type { StringKey } from '../strings';
import { confirmDialog } from '../ui/dialog';
import { h } from '../ui/dom';
import { currentLang, label, say, text, unsay } from '../ui/i18n';
import { icon, setIcon } from '../ui/icons';
import { openPractice } from '../invite/practice';
import type { Doubt, Visit } from './visit';
import type { Order } from './wire';

const MINUTE_S = 60;
const REDRAW_MS = 20_000;
/** How long a newcomer's name may take before the coming is announced without it. */
const NAME_MS = 4000;

const DOUBTS: Record<Doubt, StringKey> = {
  'no-practice-key': 'desk.noPracticeKey',
  'other-key': 'desk.otherKey',
  damaged: 'desk.damaged',
  'wrong-tan': 'desk.wrongTan',
  'wrong-link': 'desk.wrongLink',
};

interface Row {
  el: HTMLLIElement;
  show(person: Person): void;
}

/** Who waits and who is here, for hosts and reception, with what may be done. Newcomers are announced without a sound. */
export class DeskPanel {
  readonly el: HTMLElement;
  private readonly waiting = h('ul', { class: 'people', 'aria-labelledby': 'desk-waiting', 'data-testid': 'waiting-list' });
  private readonly here = h('ul', { class: 'people', 'aria-labelledby': 'desk-here', 'data-testid': 'here-list' });
  private readonly nobodyWaits = h('p', { class: 'hint', t: 'desk.nobodyWaits' });
  private readonly nobodyHere = h('p', { class: 'hint', t: 'desk.nobodyHere' });
  /** Outside of the panel, which may be closed. */
  readonly newsEl = h('p', { class: 'sr-only', role: 'status', 'aria-live': 'polite', 'data-testid': 'desk-news' });
  private readonly lock = h('button', { type: 'button', class: 'secondary', 'data-testid': 'lock' });
  private readonly rows = new Map<string, Row>();
  private readonly numbers = new Map<string, number>();
  /** Whose coming was announced, or need not be. */
  private announced: Set<string> | undefined;
  /** Who has come and is announced as soon as the name is known, or in vain was waited for. */
  private readonly fresh = new Map<string, number>();
  private readonly stop: () => void;
  private readonly clock = setInterval(() => this.show(), REDRAW_MS);
  private readonly redraw = new MutationObserver(() => this.show());

  constructor(
    private readonly visit: Visit,
    private readonly counted: (waiting: number) => void = () => undefined,
    level: 'h2' | 'h1' = 'h2',
  ) {
    const lockWords = h('span');
    this.lock.append(icon('lock'), lockWords);
    this.lock.addEventListener('click', () => visit.desk.lock(!visit.standing?.locked));
    const end = h('button', { type: 'button', class: 'danger', t: 'desk.end', 'data-testid': 'end' });
    end.addEventListener('click', () => confirmDialog('desk.endTitle', 'desk.endHint', 'desk.end', () => visit.desk.end()));
    const waits = h(level, { id: 'desk-waiting', t: 'desk.waiting', ...(level === 'h1' && { tabindex: '-1' }) });
    this.el = h(
      'aside',
      { class: 'desk', id: 'desk', tLabel: 'desk.title', 'data-testid': 'desk' },
      waits,
      this.nobodyWaits,
      this.waiting,
      h('h2', { id: 'desk-here', t: 'desk.here' }),
      this.nobodyHere,
      this.here,
      h('div', { class: 'desk-room' }, this.lock, end),
    );
    this.stop = visit.onChange(() => this.show());
    this.redraw.observe(document.documentElement, { attributeFilter: ['lang'] });
    this.show();
  }

  close(): void {
    clearInterval(this.clock);
    this.redraw.disconnect();
    this.stop();
  }

  private show(): void {
    const { visit } = this;
    // A list that is lost for a moment is no empty room.
    if (visit.connected && visit.desk.people.length > 0) this.list();
    const locked = visit.standing?.locked === true;
    this.lock.dataset.locked = String(locked);
    this.lock.setAttribute('aria-pressed', String(locked));
    const words = this.lock.querySelector('span');
    if (words) say(words, locked ? 'desk.unlock' : 'desk.lock');
  }

  private list(): void {
    const { others } = this.visit;
    const waiting = others.filter(({ state }) => state === 'waiting').sort((one, other) => one.since - other.since);
    const here = others.filter(({ state }) => state === 'here');
    for (const [identity, { el }] of this.rows) {
      if (others.some((person) => person.identity === identity)) continue;
      keepFocus(el);
      el.remove();
      this.rows.delete(identity);
    }
    this.fill(this.waiting, waiting);
    this.fill(this.here, here);
    this.nobodyWaits.hidden = waiting.length > 0;
    this.nobodyHere.hidden = here.length > 0;
    this.counted(waiting.length);
    this.announce(waiting);
  }

  private fill(list: HTMLElement, people: Person[]): void {
    for (const [at, person] of people.entries()) {
      const row = this.rows.get(person.identity) ?? this.row(person);
      row.show(person);
      if (list.children[at] !== row.el) {
        const focused = row.el.contains(document.activeElement);
        list.insertBefore(row.el, list.children[at] ?? null);
        if (focused) row.el.querySelector<HTMLElement>('button:not([hidden])')?.focus();
      }
    }
  }

  private announce(waiting: Person[]): void {
    const now = Date.now();
    for (const { identity } of waiting) {
      if (this.announced?.has(identity) || this.fresh.has(identity)) continue;
      this.fresh.set(identity, now);
      setTimeout(() => this.show(), NAME_MS);
    }
    const there = new Set(waiting.map(({ identity }) => identity));
    for (const identity of this.fresh.keys()) if (!there.has(identity)) this.fresh.delete(identity);
    const ready = waiting.filter(({ identity }) => {
      const since = this.fresh.get(identity);
      return since !== undefined && (this.visit.names.of(identity) !== undefined || now - since >= NAME_MS);
    });
    this.announced = new Set([...(this.announced ?? [])].filter((identity) => there.has(identity)));
    for (const { identity } of ready) {
      this.announced.add(identity);
      this.fresh.delete(identity);
    }
    if (ready.length > 0) say(this.newsEl, 'desk.arrived', { name: ready.map((person) => this.nameOf(person)).join(', '), n: waiting.length });
  }

  nameOf({ identity, role }: Person): string {
    const known = this.visit.names.of(identity);
    if (known) return known;
    if (role === 'reception') return text('desk.reception');
    const n = this.numbers.get(identity) ?? this.numbers.size + 1;
    this.numbers.set(identity, n);
    return text('call.guest', { n });
  }

  private row({ identity }: Person): Row {
    const name = h('strong', { class: 'person-name', 'data-testid': 'person-name' });
    const since = h('span', { class: 'hint', 'data-testid': 'person-since' });
    const doubt = h('p', { class: 'doubt', 'data-testid': 'doubt' });
    const importing = h('button', { type: 'button', class: 'secondary small', t: 'practice.import', 'data-testid': 'import-practice' });
    importing.addEventListener('click', () => openPractice(this.visit));
    const act = (order: Order, key: StringKey, look: string) => {
      const button = h('button', { type: 'button', class: `small ${look}`, 'data-testid': order }, key === 'desk.admit' ? icon('ok') : '', h('span', { t: key }));
      button.addEventListener('click', () => this.order(order, identity));
      return button;
    };
    const admit = act('admit', 'desk.admit', '');
    const refuse = act('refuse', 'desk.refuse', 'secondary');
    const putback = act('putback', 'desk.putback', 'secondary');
    const mute = act('mute', 'desk.mute', 'secondary');
    const remove = act('remove', 'desk.remove', 'secondary');
    const el = h(
      'li',
      { 'data-testid': 'person', 'data-identity': identity },
      h('p', { class: 'person' }, icon('person'), h('span', {}, name, ' ', since)),
      doubt,
      importing,
      h('div', { class: 'acts' }, admit, refuse, putback, mute, remove),
    );
    const show = (person: Person): void => {
      const { role, state } = person;
      const waits = state === 'waiting';
      const guest = !moderates({ role });
      el.dataset.state = state;
      const known = this.nameOf(person);
      name.textContent = known;
      for (const [button, key] of [[admit, 'desk.admitName'], [refuse, 'desk.refuseName'], [putback, 'desk.putbackName'], [mute, 'desk.muteName'], [remove, 'desk.removeName']] as const) label(button, key, { name: known });
      if (waits) say(since, ...waitedFor(person.since));
      else say(since, `role.${role}`);
      admit.hidden = refuse.hidden = !waits;
      putback.hidden = waits || !guest;
      mute.hidden = waits || !guest;
      remove.hidden = waits || !guest;
      this.showDoubt(doubt, importing, identity);
    };
    const row = { el, show };
    this.rows.set(identity, row);
    return row;
  }

  private showDoubt(el: HTMLElement, importing: HTMLElement, identity: string): void {
    const doubt = this.visit.doubts.get(identity);
    el.hidden = !doubt;
    el.dataset.doubt = doubt ?? '';
    importing.hidden = doubt !== 'no-practice-key' && doubt !== 'other-key';
    if (doubt) say(el, DOUBTS[doubt]);
  }

  private order(order: Order, identity: string): void {
    const act = (): void => this.visit.desk.order(order, identity);
    if (order === 'refuse') confirmDialog('desk.refuseTitle', 'desk.refuseHint', 'desk.refuse', act);
    else if (order === 'remove') confirmDialog('desk.removeTitle', 'desk.removeHint', 'desk.remove', act);
    else act();
  }
}

/** Whoever stood on a row that goes finds the keyboard's focus in its list again. */
function keepFocus(el: HTMLElement): void {
  if (!el.contains(document.activeElement)) return;
  const next = el.nextElementSibling ?? el.previousElementSibling ?? document.getElementById('desk');
  (next?.querySelector<HTMLElement>('button:not([hidden])') ?? document.querySelector<HTMLElement>('[data-testid="lock"]'))?.focus();
}

function waitedFor(since: number): [key: StringKey, params: Record<string, string | number>] {
  const minutes = Math.floor(Math.max(0, Date.now() / 1000 - since) / MINUTE_S);
  const time = new Intl.DateTimeFormat(currentLang(), { timeStyle: 'short' }).format(new Date(since * 1000));
  return minutes < 1 ? ['desk.sinceNow', { time }] : ['desk.since', { minutes, time }];
}

/** The button that opens and closes the panel, with the number of those who wait. */
export function panelToggle(panel: HTMLElement): { el: HTMLButtonElement; count(waiting: number): void } {
  const svg = icon('person');
  const words = h('span');
  const badge = h('span', { class: 'count', 'aria-hidden': 'true' });
  const waits = h('span', { class: 'sr-only' });
  const el = h('button', { type: 'button', class: 'control', 'aria-controls': 'desk', 'data-testid': 'people' }, svg, words, badge, waits);
  const show = (): void => {
    el.setAttribute('aria-expanded', String(!panel.hidden));
    setIcon(svg, 'person');
  };
  el.addEventListener('click', () => {
    panel.hidden = !panel.hidden;
    show();
  });
  show();
  return {
    el,
    count(waiting) {
      badge.textContent = waiting > 0 ? String(waiting) : '';
      badge.hidden = waiting === 0;
      say(words, 'desk.people');
      if (waiting > 0) say(waits, 'desk.peopleCount', { n: waiting });
      else unsay(waits);
    },
  };
}
