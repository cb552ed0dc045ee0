import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeProgress } from './describe.ts';
import { Inflights } from './inflights.ts';
import { Progress, ProgressState } from './progress.ts';

function aProgress(match = 0, next = match + 1): Progress {
  const p = new Progress(2, next, new Inflights(2, 1 << 20), false);
  p.match = match;
  p.recentActive = true;
  return p;
}

test('a probe sends one message with entries and then waits for an answer', () => {
  const p = aProgress(3);
  p.sentEntries(1, 10);
  assert(p.isPaused());
  assert.equal(p.next, 4);
  assert(p.maybeUpdate(4));
  assert(!p.isPaused());
});

test('replication sends ahead until the window is full', () => {
  const p = aProgress(3);
  p.becomeReplicate();
  p.sentEntries(2, 10);
  assert(!p.isPaused());
  assert.equal(p.next, 6);
  p.sentEntries(1, 10);
  assert(p.isPaused());
  assert.equal(describeProgress(p), 'StateReplicate match=3 next=7 paused inflight=2[full]');
});

test('a snapshot on its way pauses everything else', () => {
  const p = aProgress();
  p.becomeSnapshot(9);
  assert(p.isPaused());
  assert.equal(p.next, 10);
  assert.equal(describeProgress(p), 'StateSnapshot match=0 next=10 paused pendingSnap=9');
  assert.throws(() => p.sentEntries(1, 1), /beside a snapshot/);
});

test('after a snapshot probing goes on behind it, or behind what is known to match', () => {
  const arrived = aProgress();
  arrived.becomeSnapshot(9);
  arrived.becomeProbe();
  assert.equal(arrived.next, 10);
  const overtaken = aProgress();
  overtaken.becomeSnapshot(9);
  overtaken.maybeUpdate(12);
  overtaken.becomeProbe();
  assert.equal(overtaken.next, 13);
});

for (const [state, match, next, rejected, hint, isNews, nextAfter] of [
  ['Replicate', 5, 10, 5, 5, false, 10],
  ['Replicate', 5, 10, 4, 4, false, 10],
  ['Replicate', 5, 10, 9, 9, true, 6],
  ['Probe', 0, 10, 5, 5, false, 10],
  ['Probe', 0, 10, 9, 9, true, 9],
  ['Probe', 0, 2, 1, 1, true, 1],
  ['Probe', 0, 10, 9, 2, true, 3],
  ['Probe', 0, 10, 9, 0, true, 1],
] as const) {
  test(`in ${state} at ${match}/${next}, refusing ${rejected} leads to ${nextAfter}`, () => {
    const p = aProgress(match, Math.max(next, 1));
    p.state = ProgressState[state];
    assert.equal(p.maybeDecrement(rejected, hint), isNews);
    assert.equal(p.next, nextAfter);
    assert(p.match < p.next);
  });
}

test('an old answer neither moves match back nor ends a pause', () => {
  const p = aProgress(5);
  p.sentEntries(1, 1);
  assert(!p.maybeUpdate(4));
  assert.equal(p.match, 5);
  assert(p.isPaused());
});

test('a commit index is worth a message only if it tells more than the last one could', () => {
  const p = aProgress(5, 8);
  p.sentCommit = 4;
  assert(p.canBumpCommit(6));
  assert(!p.canBumpCommit(4));
  p.sentCommit = 7;
  assert(!p.canBumpCommit(9));
});
