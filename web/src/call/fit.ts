/** As in call.css. */
const GAP = 8;
const ASPECT = 16 / 9;
const MIN_WIDTH = 140;

/** The number of columns that gives the widest 16:9 tiles. */
export function bestFit(count: number, width: number, height: number): { columns: number; width: number } {
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= count; columns++) {
    const rows = Math.ceil(count / columns);
    const byWidth = (width - GAP * (columns - 1)) / columns;
    const byHeight = ((height - GAP * (rows - 1)) / rows) * ASPECT;
    const fit = Math.floor(Math.min(byWidth, byHeight));
    if (fit > best.width) best = { columns, width: fit };
  }
  if (best.width >= MIN_WIDTH) return best;
  // Too many people for this screen: keep the tiles readable and let the grid scroll.
  const columns = Math.max(1, Math.floor((width + GAP) / (MIN_WIDTH + GAP)));
  return { columns, width: Math.floor((width - GAP * (columns - 1)) / columns) };
}
