import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Dirty } from './dirty.ts';
import { Wakes } from './wakes.ts';

test('what is due goes to its kind, each once, and the rest stays', () => {
  const wakes = new Wakes();
  wakes.set('s:web', 30);
  wakes.set('k:web/1', 10);
  wakes.set('n:n1', 20);
  const dirty = new Dirty();
  wakes.takeDue(20, dirty);
  assert.deepEqual(
    [[...dirty.services], [...dirty.slots], [...dirty.nodes]],
    [[], ['web/1'], ['n1']],
  );
  assert.equal(wakes.nextMs(), 30);
});

test('a new moment replaces the old one, earlier or later', () => {
  const wakes = new Wakes();
  wakes.set('s:a', 10);
  wakes.set('s:a', 50);
  assert.equal(wakes.nextMs(), 50);
  wakes.set('s:a', 5);
  assert.equal(wakes.nextMs(), 5);
});

test('the next moment is the least of the last ones set for each key', () => {
  const entry = fc.tuple(fc.constantFrom('s:a', 's:b', 'k:c', 'n:d'), fc.nat(100));
  fc.assert(
    fc.property(fc.array(entry, { minLength: 1 }), (entries) => {
      const wakes = new Wakes();
      for (const [key, atMs] of entries) wakes.set(key as 's:a', atMs);
      assert.equal(wakes.nextMs(), Math.min(...new Map(entries).values()));
    }),
  );
});
