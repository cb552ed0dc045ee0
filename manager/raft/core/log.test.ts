import assert from 'node:assert/strict';
import { test } from 'node:test';
import { entriesOf } from './cluster.fixture.ts';
import { SILENT } from './config.ts';
import { entriesSize, entrySize, limitSize } from './entry-size.ts';
import { Log } from './log.ts';
import { MemoryStorage } from './storage.ts';
import { Tracer } from './trace.ts';
import { EMPTY_CONF_STATE, NO_BYTES, NO_LIMIT } from './types.ts';

/** A log with these terms from index 1, of which the first `stable` are durable. */
function aLog(terms: readonly number[], stable = 0, maxApplying = NO_LIMIT): Log {
  const storage = new MemoryStorage();
  const entries = entriesOf(terms);
  storage.append(entries.slice(0, stable));
  const log = new Log(storage, new Tracer(SILENT), maxApplying);
  log.append(entries.slice(stable));
  return log;
}

function termsOf(log: Log): number[] {
  const entries = log.entriesFrom(log.firstIndex(), NO_LIMIT);
  assert(typeof entries !== 'string');
  return entries.map((e) => e.term);
}

for (const stable of [0, 2, 3]) {
  test(`with ${stable} of 3 entries durable, the log reads as one`, () => {
    const log = aLog([1, 2, 3], stable);
    assert.deepEqual([log.firstIndex(), log.lastIndex(), log.lastTerm()], [1, 3, 3]);
    assert.deepEqual(termsOf(log), [1, 2, 3]);
    assert.deepEqual(
      [0, 1, 2, 3, 4].map((i) => log.term(i)),
      [0, 1, 2, 3, 'unavailable'],
    );
  });
}

for (const [prev, prevTerm, given, result, last] of [
  [3, 3, [], [1, 2, 3], 3],
  [3, 2, [4], [1, 2, 3], -1],
  [4, 4, [4], [1, 2, 3], -1],
  [3, 3, [4], [1, 2, 3, 4], 4],
  [1, 1, [4], [1, 4], 2],
  [2, 2, [3], [1, 2, 3], 3],
  [0, 0, [1, 2], [1, 2, 3], 2],
  [1, 1, [2, 4], [1, 2, 4], 3],
] as const) {
  test(`log [1, 2, 3] with [${given}] after ${prev}/${prevTerm} becomes [${result}]`, () => {
    const log = aLog([1, 2, 3], 2);
    assert.equal(log.maybeAppend(prev, prevTerm, 0, entriesOf(given, prev + 1)), last);
    assert.deepEqual(termsOf(log), result);
  });
}

test('a commit index is taken only as far as the message vouches for the log', () => {
  const log = aLog([1, 2, 3]);
  log.maybeAppend(1, 1, 3, []);
  assert.equal(log.committed, 1);
  log.maybeAppend(1, 1, 3, entriesOf([2], 2));
  assert.equal(log.committed, 2);
});

test('overwriting a committed entry is a broken promise', () => {
  const log = aLog([1, 2, 3]);
  log.commitTo(2);
  assert.throws(() => log.maybeAppend(1, 1, 1, entriesOf([9], 2)), /conflicts with a committed/);
  assert.throws(() => log.commitTo(4), /lost entries/);
});

for (const [terms, index, term, found, foundTerm] of [
  [[2, 2, 5, 5, 5], 5, 5, 5, 5],
  [[2, 2, 5, 5, 5], 5, 4, 2, 2],
  [[2, 2, 5, 5, 5], 5, 1, 0, 0],
  [[2, 2, 5, 5, 5], 9, 5, 9, 0],
  [[1, 3, 3], 3, 2, 1, 1],
] as const) {
  test(`in [${terms}] logs of term ${term} may agree at ${found}, from ${index} down`, () => {
    const hint = aLog(terms).findConflictByTerm(index, term);
    assert.deepEqual(hint, { index: found, term: foundTerm });
  });
}

test('a log is as good as another by term first and by length second', () => {
  const log = aLog([1, 2, 3]);
  const better = ([index, term]: [number, number]) => log.isUpToDate(index, term);
  assert(
    [
      [2, 4],
      [3, 4],
      [4, 4],
      [4, 3],
      [3, 3],
    ].every((x) => better(x as [number, number])),
  );
  assert(
    [
      [2, 3],
      [9, 2],
    ].every((x) => !better(x as [number, number])),
  );
});

test('entries are handed out for applying once, and with asynchronous writes only durable', () => {
  const log = aLog([1, 1, 1], 2);
  log.commitTo(3);
  assert.deepEqual(
    log.nextCommitted(false).map((e) => e.index),
    [1, 2],
  );
  assert.deepEqual(
    log.nextCommitted(true).map((e) => e.index),
    [1, 2, 3],
  );
  log.acceptApplying(2, 1, false);
  assert(!log.hasNextCommitted(false));
  assert(log.hasNextCommitted(true));
});

test('no more is handed out for applying than fits, until some of it is applied', () => {
  const size = entrySize(entriesOf([1])[0]!);
  const log = aLog([1, 1, 1], 3, size * 2);
  log.commitTo(3);
  const first = log.nextCommitted(false);
  assert.equal(first.length, 2);
  log.acceptApplying(2, size * 2, false);
  assert(!log.hasNextCommitted(false));
  log.appliedTo(1, size);
  assert.deepEqual(
    log.nextCommitted(false).map((e) => e.index),
    [3],
  );
});

test('applied never overtakes committed and never falls', () => {
  const log = aLog([1, 1], 2);
  log.commitTo(1);
  assert.throws(() => log.appliedTo(2, 0), /beyond commit/);
  log.appliedTo(1, 0);
  assert.throws(() => log.appliedTo(0, 0), /below/);
});

test('compacted entries answer so, but the term at the boundary is known', () => {
  const storage = new MemoryStorage();
  storage.append(entriesOf([1, 2, 3, 4]));
  storage.createSnapshot(3, EMPTY_CONF_STATE, NO_BYTES);
  storage.compact(3);
  const log = new Log(storage, new Tracer(SILENT), NO_LIMIT);
  assert.deepEqual(
    [2, 3, 4].map((i) => log.term(i)),
    ['compacted', 3, 4],
  );
  assert.equal(log.slice(3, 5, NO_LIMIT), 'compacted');
  assert.equal(log.committed, 3);
});

test('a size limit lets at least one entry pass and then as many as fit', () => {
  const entries = entriesOf([1, 1, 1]);
  const one = entrySize(entries[0]!);
  assert.deepEqual(
    [0, one, 2 * one - 1, 2 * one, NO_LIMIT].map((max) => limitSize(entries, max).length),
    [1, 1, 1, 2, 3],
  );
  for (const stable of [0, 1, 2, 3]) {
    const log = aLog([1, 1, 1], stable);
    for (const max of [0, one, 2 * one, 3 * one]) {
      const got = log.slice(1, 4, max);
      assert(typeof got !== 'string');
      assert.equal(got.length, limitSize(entries, max).length, `${stable} durable, limit ${max}`);
    }
  }
  assert.equal(entriesSize(entries), 3 * one);
});

test('storage overwrites from the first given index on, and skips what is compacted', () => {
  const storage = new MemoryStorage();
  storage.append(entriesOf([1, 1, 1]));
  storage.append(entriesOf([2], 2));
  assert.equal(storage.lastIndex(), 2);
  storage.compact(1);
  storage.append(entriesOf([1, 2, 3]));
  assert.deepEqual(
    [1, 2, 3].map((i) => storage.term(i)),
    [1, 2, 3],
  );
  assert.throws(() => storage.append(entriesOf([3], 9)), /a gap/);
  assert(!storage.compact(1));
});
