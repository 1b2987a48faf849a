import { DeskPanel, panelToggle } from '../desk/panel';
import type { Visit } from '../desk/visit';
import { h } from '../ui/dom';

/** Windows that are narrower show either the pictures or the panel. */
const WIDE = '(min-width: 62rem)';

/** A call's page: pictures, controls, and beside them for moderators who waits and who is here. */
export function callLayout(
  visit: Visit,
  above: HTMLElement[],
  grid: HTMLElement,
  safety: HTMLElement,
  controls: (toggle: HTMLElement | undefined) => HTMLElement,
): { el: HTMLElement; close(): void } {
  let toggle: ReturnType<typeof panelToggle> | undefined;
  const panel = visit.moderates ? new DeskPanel(visit, (waiting) => toggle?.count(waiting)) : undefined;
  if (panel) {
    panel.el.hidden = !window.matchMedia(WIDE).matches;
    toggle = panelToggle(panel.el);
    toggle.count(visit.others.filter(({ state }) => state === 'waiting').length);
  }
  const el = h(
    'section',
    { class: 'call' },
    h('h1', { class: 'sr-only', tabindex: '-1', t: 'call.title' }),
    ...above,
    h('div', { class: 'call-body' }, grid, ...(panel ? [panel.el, panel.newsEl] : [])),
    safety,
    controls(toggle?.el),
  );
  return { el, close: () => panel?.close() };
}
