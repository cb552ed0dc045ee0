import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { getHeapStatistics } from 'node:v8';
import { letHeapGrow } from './engine.ts';

const KEPT = 120_000;
const TURNS = 100;
const MADE_A_TURN = 20_000;
const BOUND_BYTES = 75 << 20;

/** Each object outlives the space for young ones; some 20 MB of them live at a time. */
async function highestHeap(): Promise<number> {
  const kept: unknown[] = new Array(KEPT);
  let highest = 0;
  for (let turn = 0; turn < TURNS; turn++) {
    for (let i = 0; i < MADE_A_TURN; i++) {
      const at = turn * MADE_A_TURN + i;
      kept[at % KEPT] = { at, parts: [at, at, at] };
    }
    highest = Math.max(highest, getHeapStatistics().total_heap_size);
    await nextTurn();
  }
  return highest;
}

test('a heap that is not to grow stays near what lives', async () => {
  letHeapGrow(false);
  const highest = await highestHeap();
  assert.ok(highest < BOUND_BYTES, `${highest >> 20} MB`);
});
