import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LIMITS } from '../../../shared/limits.ts';
import { type CompactionInput, compactionTarget } from './compaction.ts';

const log = (count: number, changes: Partial<CompactionInput> = {}): CompactionInput => {
  const input = { firstIndex: 1, lastIndex: count, bytes: count * 100, appliedOnDisk: count };
  return { ...input, peerMatches: [], snapshotIndexes: [], ...changes };
};
const EVERY = LIMITS.raftCompactEveryEntries;
const KEEP = LIMITS.raftLogKeepEntries;

describe('compaction', () => {
  test('waits until the log is long', () => {
    assert.equal(compactionTarget(log(EVERY - 1)), undefined);
    assert.equal(compactionTarget(log(EVERY)), EVERY - KEEP);
  });
  test('keeps what a slow active peer needs', () => {
    assert.equal(compactionTarget(log(EVERY, { peerMatches: [EVERY, 300] })), 300);
  });
  test('keeps what the receiver of a snapshot needs', () => {
    assert.equal(compactionTarget(log(EVERY, { snapshotIndexes: [200] })), 200);
  });
  test('never drops what is not applied on disk', () => {
    assert.equal(compactionTarget(log(EVERY, { appliedOnDisk: KEEP })), undefined);
  });
  test('has a hard limit, whoever needs it', () => {
    const count = LIMITS.raftLogHardMaxEntries + 1;
    const target = compactionTarget(log(count, { peerMatches: [5], snapshotIndexes: [3] }));
    assert.equal(target, count - KEEP);
  });
  test('shortens a log of few big entries', () => {
    const target = compactionTarget(log(100, { bytes: LIMITS.raftCompactEveryBytes * 2 }));
    assert.equal(target, 75);
  });
});
