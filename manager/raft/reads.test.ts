import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ManualClock } from '../../shared/clock.ts';
import { SeededRandom } from '../../shared/random.ts';
import { Reads } from './reads.ts';

describe('linearizable reads', () => {
  let clock: ManualClock;
  let asked: Uint8Array[];
  let hasLeader: boolean;
  let applied: number;
  let reads: Reads;
  beforeEach(() => {
    clock = new ManualClock();
    asked = [];
    hasLeader = true;
    applied = 0;
    reads = new Reads({
      clock,
      random: new SeededRandom(1),
      raftId: 1,
      request: (context) => {
        if (hasLeader) asked.push(context);
        return hasLeader;
      },
      appliedIndex: () => applied,
    });
  });
  const turn = () => new Promise(setImmediate);

  test('all that wait share a round, those that come meanwhile the next', async () => {
    const first = [reads.read(1_000), reads.read(1_000)];
    await turn();
    const late = reads.read(1_000);
    await turn();
    assert.equal(asked.length, 1);
    applied = 9;
    reads.answered({ index: 5, context: asked[0]! });
    assert.deepEqual(await Promise.all(first), [5, 5]);
    assert.equal(asked.length, 2, 'the late one is asked for now');
    reads.answered({ index: 7, context: asked[1]! });
    assert.equal(await late, 7);
  });

  test('an answer is given when the index is applied here, not before', async () => {
    let done = false;
    const read = reads.read(1_000).then(() => (done = true));
    await turn();
    reads.answered({ index: 5, context: asked[0]! });
    applied = 4;
    reads.applied();
    await turn();
    assert.equal(done, false);
    applied = 5;
    reads.applied();
    await read;
  });

  test('an answer to an older attempt serves nobody', async () => {
    let done = false;
    const read = reads.read(10_000).then(() => (done = true));
    await turn();
    clock.advance(300);
    reads.tick(250);
    assert.equal(asked.length, 2);
    assert.notDeepEqual(asked[0], asked[1]);
    reads.answered({ index: 1, context: asked[0]! });
    await turn();
    assert.equal(done, false);
    applied = 1;
    reads.answered({ index: 1, context: asked[1]! });
    await read;
  });

  test('without a leader it waits for one, and gives up in time', async () => {
    hasLeader = false;
    const read = reads.read(1_000);
    const tooLate = reads.read(500);
    await turn();
    clock.advance(600);
    reads.tick(250);
    await assert.rejects(tooLate, { code: 'NO_QUORUM' });
    hasLeader = true;
    reads.askAgain();
    reads.answered({ index: 0, context: asked[0]! });
    assert.equal(await read, 0);
  });
});
