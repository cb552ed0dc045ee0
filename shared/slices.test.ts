import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from './clock.ts';
import { atOnce, inPieces, Slices } from './slices.ts';

/** Every look at the clock finds that 4 ms have gone. */
class BusyClock extends ManualClock {
  #spentMs = 0;
  override monotonicMs(): number {
    this.#spentMs += 4;
    return super.monotonicMs() + this.#spentMs;
  }
}

function* steps(done: number[], count: number): Generator<void, void> {
  for (let n = 0; n < count; n++) {
    done.push(n);
    yield;
  }
}

test('short work is done at once', () => {
  const done: number[] = [];
  let ended = false;
  const slices = new Slices(new ManualClock(), steps(done, 1_000), () => {
    ended = true;
  });
  assert.deepEqual([done.length, ended, slices.isOver], [1_000, true, true]);
});

test('long work stops after ten milliseconds and goes on after other events', async () => {
  const clock = new BusyClock();
  const done: number[] = [];
  const slices = new Slices(clock, steps(done, 7));
  assert.deepEqual([done.length, slices.isOver], [3, false]);
  clock.advance(0);
  assert.deepEqual([done.length, slices.isOver], [7, true]);
  await slices.ended;
});

test('what is cancelled does nothing more, and who waits for its end goes on', async () => {
  const clock = new BusyClock();
  const done: number[] = [];
  const slices = new Slices(clock, steps(done, 7), () => assert.fail('it was cancelled'));
  slices.cancel();
  clock.advance(1_000);
  await slices.ended;
  assert.equal(done.length, 3);
});

test('pieces leave nothing out', () => {
  const taken: number[] = [];
  atOnce(inPieces([1, 2, 3, 4, 5], (n) => taken.push(n), 2));
  assert.deepEqual(taken, [1, 2, 3, 4, 5]);
});
