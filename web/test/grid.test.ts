import { expect, it } from 'vitest';
import { bestFit } from '../src/call/fit';

it.each([
  [1, 1280, 720, 1],
  [2, 1280, 720, 2],
  [2, 400, 800, 1],
  [4, 1280, 720, 2],
  [9, 1280, 720, 3],
  [9, 320, 480, 2],
])('%i people on %i×%i stand in %i columns', (count, width, height, columns) => {
  expect(bestFit(count, width, height).columns).toBe(columns);
});

it('never makes a tile wider than the screen', () => {
  for (let count = 1; count < 60; count++) {
    const { columns, width } = bestFit(count, 320, 400);
    expect(columns * width + (columns - 1) * 8).toBeLessThanOrEqual(320);
  }
});
