import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../shared/clock.ts';
import { DEFAULTS, LIMITS } from '../../shared/limits.ts';
import { silentLog } from '../../shared/log.ts';
import { type HeldImage, ImageCollector } from './image-collector.ts';

const image = (name: string, usedWallMs: number): HeldImage => ({
  names: [name],
  digests: [`digest of ${name}`],
  usedWallMs,
});

/** A disk on which every image takes a tenth. */
function collectorOf(used: number, kept: readonly string[] = []) {
  const clock = new ManualClock();
  let held = [image('newest', 30), image('oldest', 10), image('middle', 20)];
  const removed: string[] = [];
  const collector = new ImageCollector({
    clock,
    log: silentLog,
    usedShare: async () => used - removed.length * 0.1,
    held: async () => held,
    remove: async (names) => {
      removed.push(...names);
      held = held.filter((each) => each.names[0] !== names[0]);
    },
    kept: () => new Set(kept.map((name) => `digest of ${name}`)),
  });
  return { clock, collector, removed };
}

test('nothing is collected while the disk has room', async () => {
  const { collector, removed } = collectorOf(DEFAULTS.imageHighWatermark - 0.01);
  await collector.collect();
  assert.deepEqual(removed, []);
});

test('the least lately used go first, until the disk has room again', async () => {
  const { collector, removed } = collectorOf(DEFAULTS.imageLowWatermark + 0.15);
  await collector.collect();
  assert.deepEqual(removed, ['oldest', 'middle']);
});

test('what a task runs, or may go back to, stays on a full disk', async () => {
  const { collector, removed } = collectorOf(1, ['oldest', 'newest']);
  await collector.collect();
  assert.deepEqual(removed, ['middle']);
});

test('it looks from time to time, and no more after it was stopped', async () => {
  const { clock, collector, removed } = collectorOf(0.99);
  collector.start();
  clock.advance(LIMITS.imageCollectMs);
  await collector.collect();
  assert.ok(removed.length > 0);
  collector.stop();
  clock.advance(LIMITS.imageCollectMs * 10);
  assert.equal(clock.nextDueMs(), undefined);
});
