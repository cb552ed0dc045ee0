import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ManualClock } from '../../shared/clock.ts';
import { SeededRandom } from '../../shared/random.ts';
import { Ticker } from './ticker.ts';
import { ELECTION_TICKS, timing } from './timing.ts';

const TIMING = timing(400);
const { tickMs } = TIMING;
const random = new SeededRandom(3);

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
    ticker = new Ticker(clock, random, TIMING, owner);
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
    clock.advance(tickMs);
    assert.equal(ticks, ELECTION_TICKS);
    clock.advance(tickMs);
    assert.equal(ticks, ELECTION_TICKS + 1);
  });

  test('of members that heard the same are not at the same moment', () => {
    const firsts = [1, 2, 3, 4].map((seed) => {
      const own = new ManualClock();
      let firstMs = 0;
      const tick = (): void => {
        firstMs ||= own.monotonicMs();
      };
      const member = new Ticker(own, new SeededRandom(seed), TIMING, {
        tick,
        paused: () => undefined,
      });
      member.start();
      member.heardLeader();
      for (let ms = 0; ms < 8 * tickMs; ms++) own.advance(1);
      return firstMs;
    });
    assert.equal(new Set(firsts).size, 4);
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
    const own = new Ticker(clock, random, TIMING, owner);
    own.start();
    own.heardLeader();
    clock.advance((ELECTION_TICKS + 1) * tickMs);
    assert.ok(seen >= 1 && seen < ELECTION_TICKS);
  });
});
