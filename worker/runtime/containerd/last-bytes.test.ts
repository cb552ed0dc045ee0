import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { untilDelivered } from './last-bytes.ts';

test('a container with nothing on its way is not waited for', async () => {
  const { delivered, looks } = ending([0]);
  await delivered;
  assert.equal(looks(), 1);
});

test('what is on its way is waited for until it is confirmed', async () => {
  const { delivered, looks } = ending([2, 1, 0]);
  await delivered;
  assert.equal(looks(), 3);
});

test('a peer that confirms nothing is given up after three seconds', async () => {
  const { delivered, elapsedMs } = ending([1]);
  await delivered;
  assert.equal(elapsedMs(), 3_000);
});

test('a network that cannot tell is not waited for', async () => {
  const clock = new ManualClock();
  await untilDelivered({ clock, network: { unconfirmed: async () => assert.fail() } }, 'task');
});

/** Each look sees the next count; the last one stays. Time passes between looks. */
function ending(counts: readonly number[]) {
  const clock = new ManualClock();
  const startMs = clock.monotonicMs();
  let looks = 0;
  const unconfirmed = async (): Promise<number> => {
    const count = counts[Math.min(looks++, counts.length - 1)]!;
    if (count > 0) setImmediate(() => clock.advance(100));
    return count;
  };
  return {
    delivered: untilDelivered({ clock, network: { unconfirmed } }, 'task'),
    looks: () => looks,
    elapsedMs: () => clock.monotonicMs() - startMs,
  };
}
