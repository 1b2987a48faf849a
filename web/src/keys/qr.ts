import encodeQR from 'qr';

const SVG = 'http://www.w3.org/2000/svg';
/** Readers need a margin of four modules (ISO/IEC 18004). */
const MARGIN = 4;
/** What a code of the largest size holds at this level of correction. */
const LONGEST = 1024;

/** Which modules of the code are dark, by rows. Throws for a text that is too long to be read from a screen. */
export function qrModules(text: string): boolean[][] {
  if (text.length > LONGEST) throw new RangeError('too long for a QR code');
  return encodeQR(text, 'raw', { ecc: 'medium', border: MARGIN });
}

/** The dark modules as one path, runs of a row together, in units of one module. */
export function qrPath(modules: boolean[][]): string {
  return modules.flatMap((row, y) => runs(row).map(([x, length]) => `M${x} ${y}h${length}v1h-${length}z`)).join('');
}

/** A QR code as a picture named `label`, black on white whatever the page's colours, so that it can be read and printed. */
export function qrCode(text: string, label: string): SVGSVGElement {
  const modules = qrModules(text);
  const svg = document.createElementNS(SVG, 'svg');
  set(svg, { viewBox: `0 0 ${modules.length} ${modules.length}`, role: 'img', 'aria-label': label, 'shape-rendering': 'crispEdges' });
  const ground = set(document.createElementNS(SVG, 'rect'), { width: '100%', height: '100%', fill: '#fff' });
  const code = set(document.createElementNS(SVG, 'path'), { d: qrPath(modules), fill: '#000' });
  svg.append(ground, code);
  return svg;
}

function set<E extends Element>(element: E, attributes: Record<string, string>): E {
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

/** Where a row is dark: begin and length. */
function runs(row: boolean[]): [number, number][] {
  const found: [number, number][] = [];
  for (const [x, dark] of row.entries()) {
    const last = found.at(-1);
    if (!dark) continue;
    if (last && last[0] + last[1] === x) last[1] += 1;
    else found.push([x, 1]);
  }
  return found;
}
