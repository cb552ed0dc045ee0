import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BUCKETS, bucketsOf } from './buckets.ts';

describe('buckets of clients', () => {
  const ids = Array.from({ length: 10 }, (_, n) => `task${n}`);

  it('move only from a backend that is gone', () => {
    const before = bucketsOf(ids);
    const after = bucketsOf(ids.slice(1));
    for (const [at, id] of before.entries()) if (id !== 'task0') assert.equal(after[at], id);
  });
  it('move only to a backend that is new', () => {
    const before = bucketsOf(ids);
    const after = bucketsOf([...ids, 'another']);
    for (const [at, id] of after.entries()) if (id !== 'another') assert.equal(before[at], id);
  });
  it('give each backend its share, within a half', () => {
    const shares = ids.map((id) => bucketsOf(ids).filter((b) => b === id).length);
    for (const share of shares)
      assert.ok(Math.abs(share - BUCKETS / 10) < BUCKETS / 20, `${share}`);
  });
});
