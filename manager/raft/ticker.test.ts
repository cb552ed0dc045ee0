import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ManualClock } from '../../shared/clock.ts';
import { Ticker } from './ticker.ts';
import { ELECTION_TICKS, timing } from './timing.ts';

const TIMING = timing(400);
const { tickMs } = TIMING;

describe('ticks', () => {
  let clock: ManualClock;
  let ticks: number;
  let ticker: Ticker;
  beforeEach(() => {
    clock = new ManualClock();
    ticks = 0;
    const owner = {
      tick: () => void ticks++,
      paused: () => undefined,
    };
    ticker = new Ticker(clock, TIMING, owner);
    ticker.start();
  });

  test('come one after the other', () => {
    clock.advance(10 * tickMs);
    assert.equal(ticks, 10);
  });

  test('do not come while a leader is heard', () => {
    for (let i = 0; i < 40; i++) {
      clock.advance(tickMs / 2);
      ticker.heardLeader();
    }
    assert.equal(ticks, 0);
  });

  test('are all there an election timeout after the leader was heard last', () => {
    clock.advance(tickMs / 2);
    ticker.heardLeader();
    clock.advance(ELECTION_TICKS * tickMs - 1);
    assert.equal(ticks, 0);
    clock.advance(1);
    assert.equal(ticks, ELECTION_TICKS);
    clock.advance(tickMs);
    assert.equal(ticks, ELECTION_TICKS + 1);
  });

  test('begin anew when who leads has changed', () => {
    clock.advance(tickMs / 2);
    ticker.heardLeader();
    clock.advance(tickMs);
    ticker.start();
    clock.advance(tickMs);
    assert.equal(ticks, 1);
  });

  test('that were slept through are void when one of them changed who leads', () => {
    let seen = 0;
    const owner = {
      tick: () => {
        seen++;
        own.start();
      },
      paused: () => undefined,
    };
    const own = new Ticker(clock, TIMING, owner);
    own.start();
    own.heardLeader();
    clock.advance(ELECTION_TICKS * tickMs);
    assert.equal(seen, 1);
  });
});
