import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { ManualClock } from '../../shared/clock.ts';
import { silentLog } from '../../shared/log.ts';
import type { ConsensusLoop } from './consensus-loop.ts';
import { blankMessage, type Entry, EntryType, MessageType, NO_BYTES } from './core/index.ts';
import { LeaderWatch } from './leader-watch.ts';
import { Reign, type ReignDeps } from './reign.ts';
import { timing } from './timing.ts';
import { PeerActivity } from './transport/peer-activity.ts';

const TERM = 5;
const ENTRY = Buffer.from('a=1');

/** A leader of three as far as a reign looks at it. */
class FakeNode {
  readonly id = 1;
  term = TERM;
  isLeader = true;
  leadTransferee = 0;
  lastIndex = 10;
  proposed = 0;

  propose(_bytes: Uint8Array, term: number) {
    if (term !== this.term) return { ok: false, error: 'wrong-term' };
    this.proposed++;
    return { ok: true, index: ++this.lastIndex };
  }
  confState() {
    return { voters: [1, 2, 3] };
  }
  status() {
    const progress = [2, 3].map((id) => ({ id, match: 8 + id }));
    return { config: { voters: [1, 2, 3] }, progress };
  }
  transferLeader(to: number): void {
    this.leadTransferee = to;
  }
  stepDown(): void {
    this.isLeader = false;
  }
}

describe('the reign of a leader', () => {
  let node: FakeNode;
  let reign: Reign;
  let isReadOnly = false;
  let outstandingMs = 0;
  const heard: string[] = [];
  const apply = (index: number, term = TERM): void => {
    const entry: Entry = { index, term, type: EntryType.Normal, data: NO_BYTES };
    reign.applied(entry, node as never);
  };
  const loop = () => {
    const run = (work: (node: unknown) => void): void => work(node);
    return { node, run, soon: () => undefined } as unknown as ConsensusLoop;
  };

  beforeEach(() => {
    [isReadOnly, outstandingMs] = [false, 0];
    heard.length = 0;
    node = new FakeNode();
    const clock = new ManualClock();
    const activity = new PeerActivity(clock, () => 500);
    for (const id of [2, 3]) activity.heard(id);
    const deps: ReignDeps = {
      raftId: node.id,
      log: silentLog,
      activity,
      leaders: new LeaderWatch(clock, () => ''),
      loop,
      timing: () => timing(500),
      read: () => Promise.resolve(),
      isReadOnly: () => isReadOnly,
      outstandingMs: () => outstandingMs,
      leaderAddress: () => 'other:1',
      fatal: (error) => heard.push(error.code),
    };
    reign = new Reign(deps);
    reign.onLeadership({
      gained: (term) => heard.push(`gained ${term}`),
      lost: () => heard.push('lost'),
    });
  });

  test('begins with the first entry of its own term, not with the election', async () => {
    apply(9, TERM - 1);
    const early = await reign.propose(ENTRY, TERM);
    assert.deepEqual([heard, early], [[], { kind: 'dropped', reason: 'not-leader' }]);
    apply(10);
    assert.deepEqual([heard, reign.term], [['gained 5'], TERM]);
  });

  test('a proposal is answered when it is applied, and open when the reign ends before', async () => {
    apply(10);
    const first = reign.propose(ENTRY, TERM);
    const second = reign.propose(ENTRY, TERM);
    apply(11);
    assert.deepEqual(await first, { kind: 'applied', index: 11 });
    node.term++;
    reign.look(node as never);
    assert.deepEqual(await second, { kind: 'unknown' });
    assert.deepEqual(heard, ['gained 5', 'lost']);
  });

  test('nothing is proposed while the disk has too little room', async () => {
    apply(10);
    isReadOnly = true;
    assert.deepEqual(await reign.propose(ENTRY, TERM), { kind: 'dropped', reason: 'read-only' });
    assert.equal(node.proposed, 0);
  });

  test('ends when the disk hangs: first by handing over to the nearest, then by itself', () => {
    apply(10);
    const heartbeat = blankMessage(MessageType.Heartbeat);
    const vote = blankMessage(MessageType.VoteResp);
    outstandingMs = 501;
    reign.watchDisk(loop());
    assert.deepEqual([heard, node.leadTransferee], [['gained 5', 'lost'], 3]);
    assert.deepEqual([reign.withholds(heartbeat), reign.withholds(vote)], [true, false]);
    reign.watchDisk(loop());
    assert.equal(node.isLeader, false);
    outstandingMs = 30_001;
    reign.watchDisk(loop());
    assert.deepEqual(heard, ['gained 5', 'lost', 'STATE_DIR']);
  });

  test('a term that was given up is left, not taken up again', () => {
    apply(10);
    reign.end();
    reign.watchDisk(loop());
    assert.deepEqual([node.isLeader, heard], [false, ['gained 5', 'lost']]);
  });

  test('members are changed and leadership is handed over by who leads alone', async () => {
    node.isLeader = false;
    const peer = { raftId: 2, nodeId: 'two', address: 'two:1' };
    const refused = { code: 'NOT_LEADER', details: { leader: 'other:1' } };
    await assert.rejects(reign.changeMembers({ kind: 'remove', peer }, undefined), refused);
    await assert.rejects(reign.transfer(2), refused);
    await reign.handOver();
    assert.equal(node.leadTransferee, 0);
  });
});
