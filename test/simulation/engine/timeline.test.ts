import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SimClock, Timeline } from './timeline.ts';

const FOREVER = 1_000_000;

test('what is due while its machine stands still happens when it goes on, in the order it was due', async () => {
  const timeline = new Timeline();
  const machine = { isDead: false, pausedUntilMs: 50 };
  const said: string[] = [];
  const say = (what: string) => (): void => void said.push(`${what} at ${timeline.nowMs}`);
  timeline.after(20, say('second'), machine);
  timeline.after(10, say('first'), machine);
  timeline.after(30, say('another machine'));
  await timeline.run(FOREVER, () => undefined);
  assert.deepEqual(said, ['another machine at 30', 'first at 50', 'second at 50']);
});

test('a timer that is taken back after its machine stood still does not fire', async () => {
  const timeline = new Timeline();
  const machine = { isDead: false, pausedUntilMs: 50 };
  const clock = new SimClock(timeline, machine, 0, 1);
  const timer = clock.setTimer(20, () => assert.fail('it was taken back'));
  clock.setTimer(10, () => timer.cancel());
  await timeline.run(FOREVER, () => undefined);
  assert.equal(timeline.nowMs, 50);
});

test('nothing happens any more for what is dead', async () => {
  const timeline = new Timeline();
  const process = { isDead: false, pausedUntilMs: 0 };
  timeline.after(1, () => {
    process.isDead = true;
  });
  timeline.after(2, () => assert.fail('it is dead'), process);
  await timeline.run(FOREVER, () => undefined);
  assert.equal(timeline.ran, 1);
});
