import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { HeartbeatAnswers } from './heartbeat-answers.ts';

const TICK_MS = 125;
const plain = { to: 1, term: 3, context: new Uint8Array() };

function answers(): { clock: ManualClock; goes: HeartbeatAnswers['goes'] } {
  const clock = new ManualClock();
  const all = new HeartbeatAnswers(clock, () => TICK_MS);
  return { clock, goes: (answer) => all.goes(answer) };
}

describe('answers to heartbeats', () => {
  test('go out for every second heartbeat of a tick each', () => {
    const { clock, goes } = answers();
    const sent: boolean[] = [];
    for (let i = 0; i < 6; i++) {
      sent.push(goes(plain));
      clock.advance(TICK_MS);
    }
    assert.deepEqual(sent, [true, false, true, false, true, false]);
  });

  test('go out for every heartbeat that comes late', () => {
    const { clock, goes } = answers();
    for (let i = 0; i < 3; i++) {
      assert.equal(goes(plain), true);
      clock.advance(2 * TICK_MS);
    }
  });

  test('are never left out when a read waits for them', () => {
    const { goes } = answers();
    const proof = { ...plain, context: new Uint8Array([1]) };
    assert.deepEqual([goes(plain), goes(proof), goes(proof)], [true, true, true]);
  });

  test('are never left out for another leader or another term', () => {
    const { goes } = answers();
    assert.deepEqual([goes(plain), goes({ ...plain, to: 2 })], [true, true]);
    assert.equal(goes({ ...plain, to: 2, term: 4 }), true);
    assert.equal(goes({ ...plain, to: 2, term: 4 }), false);
  });
});
