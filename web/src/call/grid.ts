import { h } from '../ui/dom';
import { bestFit } from './fit';
import { Tile } from './tile';

/** The tiles, as large as the space allows; a shared screen takes the stage. */
export class Grid {
  readonly el = h('ul', { class: 'grid', tabindex: '0', tLabel: 'call.people' });
  private readonly tiles = new Map<string, Tile>();
  private readonly observer = new ResizeObserver(() => this.layout());

  constructor() {
    this.observer.observe(this.el);
  }

  tile(identity: string, local: boolean): Tile {
    return this.get(identity, () => new Tile({ identity, local }));
  }

  screen(identity: string, local: boolean): Tile {
    return this.get(screenId(identity), () => new Tile({ identity, local, screen: true }));
  }

  removeScreen(identity: string): void {
    this.drop(screenId(identity));
  }

  remove(identity: string): void {
    this.drop(identity);
    this.removeScreen(identity);
  }

  /** Removes whoever is not there any more. */
  keep(present: (identity: string) => boolean): void {
    for (const id of [...this.tiles.keys()]) if (!present(identityIn(id))) this.drop(id);
  }

  speaking(identities: Set<string>): void {
    for (const [id, tile] of this.tiles) tile.setSpeaking(identities.has(id));
  }

  close(): void {
    this.observer.disconnect();
    for (const id of [...this.tiles.keys()]) this.drop(id);
  }

  private get(id: string, make: () => Tile): Tile {
    const known = this.tiles.get(id);
    if (known) return known;
    const tile = make();
    this.tiles.set(id, tile);
    this.el.append(tile.el);
    this.layout();
    return tile;
  }

  private drop(id: string): void {
    this.tiles.get(id)?.close();
    if (this.tiles.delete(id)) this.layout();
  }

  private layout(): void {
    const first = this.el.querySelector('.screen');
    for (const el of this.el.querySelectorAll('.stage')) if (el !== first) el.classList.remove('stage');
    first?.classList.add('stage');
    this.el.dataset.stage = String(first !== null);
    const { columns, width } = bestFit(this.tiles.size, this.el.clientWidth, this.el.clientHeight);
    this.el.style.setProperty('--columns', String(columns));
    this.el.style.setProperty('--tile-width', `${width}px`);
    this.el.style.setProperty('--others', String(Math.max(1, this.tiles.size - 1)));
    this.el.style.setProperty('--height', `${this.el.clientHeight}px`);
  }
}

function screenId(identity: string): string {
  return `${identity}\u0000screen`;
}

function identityIn(id: string): string {
  return id.split('\u0000')[0] ?? id;
}
