import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entriesOf } from './cluster.fixture.ts';
import { SILENT } from './config.ts';
import { Tracer } from './trace.ts';
import { EMPTY_CONF_STATE, NO_BYTES } from './types.ts';
import { Unstable } from './unstable.ts';

function anUnstable(terms: readonly number[], offset = 5): Unstable {
  const u = new Unstable(offset, new Tracer(SILENT));
  if (terms.length > 0) u.truncateAndAppend(entriesOf(terms, offset));
  return u;
}

function aSnapshot(index: number, term: number) {
  return { index, term, confState: EMPTY_CONF_STATE, data: NO_BYTES };
}

function terms(u: Unstable): number[] {
  return u.slice(u.offset, u.offset + u.length).map((e) => e.term);
}

test('entries that are handed out are not handed out again', () => {
  const u = anUnstable([1, 1]);
  assert.equal(u.nextEntries().length, 2);
  u.acceptInProgress();
  assert(!u.hasNextEntries());
  u.truncateAndAppend(entriesOf([1], 7));
  assert.deepEqual(
    u.nextEntries().map((e) => e.index),
    [7],
  );
});

test('durable entries leave, and only those', () => {
  const u = anUnstable([1, 1, 2]);
  u.acceptInProgress();
  u.stableTo(6, 1);
  assert.equal(u.offset, 7);
  assert.deepEqual(terms(u), [2]);
  assert(!u.hasNextEntries());
});

test('a write of entries that were replaced since makes nothing durable', () => {
  const u = anUnstable([1, 1]);
  u.acceptInProgress();
  u.truncateAndAppend(entriesOf([2, 2], 5));
  u.stableTo(6, 1);
  assert.equal(u.offset, 5);
  assert.deepEqual(terms(u), [2, 2]);
  assert.equal(u.nextEntries().length, 2);
});

test('a write that was overtaken by a later one is ignored', () => {
  const u = anUnstable([1, 1]);
  u.stableTo(6, 1);
  u.stableTo(5, 1);
  u.stableTo(9, 1);
  assert.deepEqual([u.offset, u.length], [7, 0]);
});

for (const [from, given, offset, result, next] of [
  [7, [2], 5, [1, 1, 2], 1],
  [6, [2, 2], 5, [1, 2, 2], 2],
  [5, [2], 5, [2], 1],
  [3, [2, 2], 3, [2, 2], 2],
] as const) {
  test(`[1, 1] from 5, with [${given}] from ${from}, is [${result}] with ${next} to write`, () => {
    const u = anUnstable([1, 1]);
    u.acceptInProgress();
    u.truncateAndAppend(entriesOf(given, from));
    assert.equal(u.offset, offset);
    assert.deepEqual(terms(u), result);
    assert.equal(u.nextEntries().length, next);
  });
}

test('a gap is a broken promise', () => {
  assert.throws(() => anUnstable([1]).truncateAndAppend(entriesOf([1], 9)), /a gap/);
});

test('a snapshot replaces all entries and leaves when it is durable', () => {
  const u = anUnstable([1, 1]);
  u.restore(aSnapshot(9, 2));
  assert.deepEqual([u.offset, u.length, u.lastIndex(), u.term(9)], [10, 0, 9, 2]);
  assert.notEqual(u.nextSnapshot(), null);
  u.acceptInProgress();
  assert.equal(u.nextSnapshot(), null);
  u.stableSnapshotTo(8);
  assert.notEqual(u.snapshot, null);
  u.stableSnapshotTo(9);
  assert.equal(u.snapshot, null);
});

test('what was handed out stays as it was when the log changes', () => {
  const u = anUnstable([1, 1]);
  const handed = u.nextEntries();
  u.truncateAndAppend(entriesOf([3, 3], 5));
  assert.deepEqual(
    handed.map((e) => e.term),
    [1, 1],
  );
});
