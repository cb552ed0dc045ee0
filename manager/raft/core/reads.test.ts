/** Linearizable reads (dissertation section 6.4). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aLeader, TestCluster, voters } from './cluster.fixture.ts';
import { decodeRound, encodeRound } from './read-only.ts';
import { MessageType } from './types.ts';

const KEY = Uint8Array.of(1);
const OTHER = Uint8Array.of(2);
const { HeartbeatResp, AppResp, Heartbeat } = MessageType;

/** A leader of three that has committed in its term. */
function aReadyLeader(options = {}) {
  const m = aLeader({ options });
  m.receive({ type: AppResp, from: 2, index: 1 });
  return m;
}

test('a read is answered when a quorum has confirmed the leader, with the index it came at', () => {
  const m = aReadyLeader();
  assert(m.raw.readIndex(KEY));
  const [beat] = m.drain();
  assert.equal(beat?.type, Heartbeat);
  assert.deepEqual(m.reads, []);
  m.receive({ type: HeartbeatResp, from: 2, context: beat!.context });
  assert.deepEqual(m.reads, [{ index: 1, context: KEY }]);
});

test('reads before the heartbeats have left share one round', () => {
  const m = aReadyLeader();
  m.raw.readIndex(KEY);
  m.raw.readIndex(OTHER);
  const beats = m.drain();
  assert.equal(beats.length, 2);
  m.receive({ type: HeartbeatResp, from: 3, context: beats[0]!.context });
  assert.deepEqual(
    m.reads.map((r) => r.context),
    [KEY, OTHER],
  );
});

test('an answer to an earlier round proves nothing for a later read, same key or not', () => {
  const m = aReadyLeader();
  m.raw.readIndex(KEY);
  const [first] = m.drain();
  m.raw.readIndex(KEY);
  const [second] = m.drain();
  m.receive({ type: HeartbeatResp, from: 2, context: first!.context });
  m.receive({ type: HeartbeatResp, from: 2, context: first!.context });
  assert.equal(m.reads.length, 1);
  m.receive({ type: HeartbeatResp, from: 2, context: second!.context });
  assert.equal(m.reads.length, 2);
});

test('an answer to a later round answers all reads before it', () => {
  const m = aReadyLeader();
  m.raw.readIndex(KEY);
  m.drain();
  m.raw.readIndex(OTHER);
  const [second] = m.drain();
  m.receive({ type: HeartbeatResp, from: 2, context: second!.context });
  assert.equal(m.reads.length, 2);
});

test('a periodic heartbeat repeats the round that waits', () => {
  const m = aReadyLeader({ heartbeatTicks: 1 });
  m.raw.readIndex(KEY);
  m.drain();
  m.raw.tick();
  const [beat] = m.drain();
  m.receive({ type: HeartbeatResp, from: 2, context: beat!.context });
  assert.equal(m.reads.length, 1);
});

test('a new leader answers no read before it has committed in its term', () => {
  const m = aLeader({ log: [1], term: 1 });
  assert(m.raw.readIndex(KEY));
  assert(m.drain().every((x) => x.type !== Heartbeat));
  const out = m.receive({ type: AppResp, from: 2, index: 2 });
  const beat = out.find((x) => x.type === Heartbeat);
  m.receive({ type: HeartbeatResp, from: 2, context: beat!.context });
  assert.deepEqual(m.reads, [{ index: 2, context: KEY }]);
});

test('the only voter answers at once, but not before its first commit', () => {
  const cluster = new TestCluster(voters(1));
  cluster.raw(1).campaign();
  cluster.settle();
  cluster.raw(1).readIndex(KEY);
  cluster.settle();
  assert.deepEqual(cluster.member(1).reads, [{ index: 2, context: KEY }]);
});

test('a follower asks the leader and gets the answer', () => {
  const cluster = new TestCluster(voters(1, 2, 3));
  assert(!cluster.raw(2).readIndex(KEY), 'nobody leads');
  cluster.elect(1);
  assert(cluster.raw(2).readIndex(KEY));
  cluster.settle();
  assert.deepEqual(cluster.member(2).reads, [{ index: 2, context: KEY }]);
});

test('a deposed leader answers no read', () => {
  const cluster = new TestCluster(voters(1, 2, 3));
  cluster.elect(1);
  cluster.isolate(1);
  cluster.tick(60, 2, 3);
  assert(cluster.raw(2).isLeader || cluster.raw(3).isLeader);
  cluster.raw(1).readIndex(KEY);
  cluster.settle();
  cluster.heal();
  cluster.tick(4, 1, 2, 3);
  assert.deepEqual(cluster.member(1).reads, []);
});

test('a lease answers without a round, where that is set', () => {
  const m = aReadyLeader({ readOnly: 'lease', checkQuorum: true });
  m.raw.readIndex(KEY);
  m.drain();
  assert.equal(m.reads.length, 1);
});

test('reads beyond the limit are dropped and say so', () => {
  const m = aReadyLeader({ maxPendingReads: 2 });
  assert.deepEqual(
    [1, 2, 3].map(() => m.raw.readIndex(KEY)),
    [true, true, false],
  );
});

test('a round that was never begun is ignored', () => {
  const m = aReadyLeader();
  m.raw.readIndex(KEY);
  m.drain();
  m.receive({ type: HeartbeatResp, from: 2, context: encodeRound(999) });
  m.receive({ type: HeartbeatResp, from: 3, context: Uint8Array.of(1, 2) });
  assert.deepEqual(m.reads, []);
});

test('a round survives the wire', () => {
  for (const round of [1, 255, 256, 2 ** 40 + 3, Number.MAX_SAFE_INTEGER]) {
    assert.equal(decodeRound(encodeRound(round)), round);
  }
  assert.equal(decodeRound(new Uint8Array(8).fill(255)), 0);
});
