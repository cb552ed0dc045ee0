import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Arena } from './arena.ts';

test('what is allocated between two resets never overlaps, also beyond the block', () => {
  const arena = new Arena();
  for (let round = 0; round < 3; round++) {
    arena.reset();
    const parts = Array.from({ length: 100 }, (_, i) => arena.allocate(40_000).fill(i));
    for (const [i, part] of parts.entries()) {
      assert.equal(part.length, 40_000);
      assert.ok(part.every((byte) => byte === i));
    }
  }
});

test('the same memory is used again after a reset', () => {
  const arena = new Arena();
  const first = arena.allocate(100);
  arena.reset();
  assert.equal(arena.allocate(100).byteOffset, first.byteOffset);
});
