import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TerminalSize } from '../../proto/index.ts';
import { TerminalSizes } from './terminal-sizes.ts';

const size = (columns: number): TerminalSize => TerminalSize.create({ columns, rows: 25 });

test('sizes are set one after the other, and the last one stands', async () => {
  const set: number[] = [];
  const done: (() => void)[] = [];
  const sizes = new TerminalSizes(({ columns }) => {
    set.push(columns);
    return new Promise<void>((resolve) => done.push(resolve));
  });
  for (const columns of [80, 90, 0, 100]) sizes.resize(size(columns));
  assert.deepEqual(set, [80]);
  done[0]!();
  await new Promise(setImmediate);
  assert.deepEqual(set, [80, 100]);
});

test('a size that could not be set does not stop the next', async () => {
  const set: number[] = [];
  const sizes = new TerminalSizes(async ({ columns }) => {
    set.push(columns);
    throw new Error('not now');
  });
  sizes.resize(size(80));
  await new Promise(setImmediate);
  sizes.resize(size(90));
  assert.deepEqual(set, [80, 90]);
});
