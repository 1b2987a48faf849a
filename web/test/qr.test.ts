import decodeQR from 'qr/decode.js';
import { describe, expect, it } from 'vitest';
import { qrModules, qrPath } from '../src/keys/qr';

/** What the path paints, module by module. */
function painted(path: string, size: number): boolean[][] {
  const modules = Array.from({ length: size }, () => Array.from({ length: size }, () => false));
  for (const [, x, y, length] of path.matchAll(/M(\d+) (\d+)h(\d+)v1h-\3z/g)) {
    for (let at = 0; at < Number(length); at++) (modules[Number(y)] as boolean[])[Number(x) + at] = true;
  }
  return modules;
}

function picture(modules: boolean[][], scale = 4) {
  const side = modules.length * scale;
  const data = new Uint8ClampedArray(side * side * 4).fill(255);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const dark = modules[Math.floor(y / scale)]?.[Math.floor(x / scale)];
      if (dark) data.fill(0, (y * side + x) * 4, (y * side + x) * 4 + 3);
    }
  }
  return { width: side, height: side, data };
}

describe('a QR code', () => {
  it.each(['konsil-practice:1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh-hDMLS', `https://konsil.example/r/x#t=${'a.'.repeat(150)}&k=b`])(
    'is read as it was written: %s',
    (text) => {
      const modules = qrModules(text);
      const shown = painted(qrPath(modules), modules.length);
      expect(shown).toEqual(modules);
      expect(decodeQR(picture(shown))).toBe(text);
    },
  );

  it('refuses what could not be read from a screen', () => expect(() => qrModules('x'.repeat(1025))).toThrow(RangeError));
});
