import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { Starts } from './starts.ts';

describe('starts that are under way', () => {
  let clock: ManualClock;
  let starts: Starts;
  let quiet: boolean;
  beforeEach(() => {
    clock = new ManualClock();
    starts = new Starts(clock);
    quiet = false;
  });
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  function wait(): void {
    void starts.quiet().then(() => {
      quiet = true;
    });
  }

  it('hold up what can wait, until the last is done', async () => {
    let first = (): void => undefined;
    let second = (): void => undefined;
    const runs = [
      starts.run(() => new Promise<void>((resolve) => (first = resolve))),
      starts.run(() => new Promise<void>((resolve) => (second = resolve))),
    ];
    wait();
    first();
    await turn();
    assert.equal(quiet, false);
    second();
    await Promise.all(runs);
    await turn();
    assert.equal(quiet, true);
  });
  it('hold it up no longer than a while, and not at all when there is none', async () => {
    wait();
    await turn();
    assert.equal(quiet, true);
    quiet = false;
    void starts.run(() => new Promise(() => undefined));
    wait();
    clock.advance(4_999);
    await turn();
    assert.equal(quiet, false);
    clock.advance(1);
    await turn();
    assert.equal(quiet, true);
  });
  it('count as done when they fail, and hold up nobody when the daemon ends', async () => {
    await assert.rejects(starts.run(() => Promise.reject(new Error('no'))));
    wait();
    await turn();
    assert.equal(quiet, true);
    quiet = false;
    void starts.run(() => new Promise(() => undefined));
    wait();
    starts.close();
    await turn();
    assert.equal(quiet, true);
  });
});
