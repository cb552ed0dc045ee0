import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapSpaceStatistics } from 'node:v8';
import { letYoungSpaceGrow } from './engine.ts';

test('the space for young objects grows only while it may', () => {
  letYoungSpaceGrow(false);
  const before = youngBytes();
  keepSomeOfMany();
  assert.ok(youngBytes() <= 2 * before, `${youngBytes()} of ${before}`);
  letYoungSpaceGrow(true);
  keepSomeOfMany();
  assert.ok(youngBytes() > 2 * before, `${youngBytes()} of ${before}`);
});

/** Of all its pages, used or not. V8 doubles it by itself in the first place. */
function youngBytes(): number {
  return getHeapSpaceStatistics().find((space) => space.space_name === 'new_space')!.space_size;
}

/** So many outlive a collection that V8 would want more room. */
function keepSomeOfMany(): void {
  const kept: object[] = [];
  for (let i = 0; i < 1_000_000; i++) kept[i % 20_000] = { i, more: [i, i + 1] };
}
