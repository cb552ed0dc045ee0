/** What the driver relies on beyond the paper: settings, limits, hand-over, reads, membership. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aLeader, aMember, entriesOf, TestCluster, voters } from './cluster.fixture.ts';
import { TraceLevel } from './config.ts';
import { ProgressState } from './progress.ts';
import { RawNode } from './raw-node.ts';
import { MemoryStorage } from './storage.ts';
import type { ConfChange, ConfChangeSingle, MessageFields } from './types.ts';
import {
  blankMessage,
  ConfChangeTransition,
  ConfChangeType,
  EMPTY_CONF_STATE,
  LOCAL_APPEND,
  MessageType,
  message,
  NO_BYTES,
  StateType,
} from './types.ts';

const DATA = Uint8Array.of(7);
const { AddNode, AddLearner, RemoveNode } = ConfChangeType;

function change(...changes: [ConfChangeType, number][]): ConfChange {
  const singles: ConfChangeSingle[] = changes.map(([type, nodeId]) => ({ type, nodeId }));
  return { transition: ConfChangeTransition.Auto, changes: singles, context: NO_BYTES };
}

function aCluster(options = {}): TestCluster {
  const cluster = new TestCluster(voters(1, 2, 3), options);
  cluster.elect(1);
  return cluster;
}

test('a proposal is taken only by the leader of exactly its term', () => {
  const m = aLeader();
  assert.deepEqual(m.raw.propose(DATA, 0), { ok: false, error: 'wrong-term' });
  assert.deepEqual(m.raw.propose(DATA, 2), { ok: false, error: 'wrong-term' });
  assert.deepEqual(m.raw.propose(DATA, 1), { ok: true, index: 2, term: 1 });
  m.receive({ type: MessageType.App, from: 2, term: 2 });
  assert.deepEqual(m.raw.propose(DATA, 1), { ok: false, error: 'not-leader' });
  assert.deepEqual(m.raw.propose(DATA, 2), { ok: false, error: 'not-leader' });
});

test('several proposals make one message for each follower', () => {
  const cluster = aCluster();
  const m = cluster.member(1);
  assert.deepEqual(m.raw.proposeBatch([DATA, DATA, DATA], 1), { ok: true, index: 5, term: 1 });
  m.takeReady();
  const apps = m.outbox.filter((x) => x.type === MessageType.App);
  assert.deepEqual(
    apps.map((a) => a.entries.length),
    [3, 3],
  );
});

test('proposals beyond the uncommitted limit are dropped until some are applied', () => {
  const cluster = aCluster({ maxUncommittedSize: 10 });
  const { raw } = cluster.member(1);
  const big = new Uint8Array(8);
  assert(raw.propose(big, 1).ok);
  assert.deepEqual(raw.propose(big, 1), { ok: false, error: 'dropped' });
  assert(raw.propose(NO_BYTES, 1).ok, 'an empty entry always fits');
  cluster.settle();
  assert.equal(raw.uncommittedSize, 0);
  assert(raw.propose(new Uint8Array(100), 1).ok, 'one alone may exceed the limit');
});

test('a follower drops proposals instead of sending them on, unless told otherwise', () => {
  assert.equal(aCluster().raw(2).proposeForward(DATA), 'dropped');
  const open = aCluster({ disableProposalForwarding: false });
  assert.equal(open.raw(2).proposeForward(DATA), 'ok');
  open.settle();
  assert.equal(open.raw(3).applied, 3);
});

test('leadership is handed to a follower that is up to date at once', () => {
  const cluster = aCluster();
  cluster.raw(1).transferLeader(3);
  cluster.settle();
  assert.deepEqual([cluster.raw(3).isLeader, cluster.raw(1).lead], [true, 3]);
});

test('leadership is handed to a lagging follower after it has caught up', () => {
  const cluster = aCluster();
  cluster.isolate(3);
  cluster.raw(1).propose(DATA, 1);
  cluster.settle();
  cluster.heal();
  cluster.raw(1).transferLeader(3);
  assert.equal(cluster.raw(1).leadTransferee, 3);
  assert.deepEqual(cluster.raw(1).propose(DATA, 1), { ok: false, error: 'dropped' });
  cluster.tick(2, 1);
  assert(cluster.raw(3).isLeader);
  assert.equal(cluster.raw(3).lastIndex, 4);
});

test('a hand-over to a dead member is given up after an election timeout', () => {
  const cluster = aCluster({ checkQuorum: false });
  cluster.isolate(3);
  cluster.raw(1).transferLeader(3);
  cluster.tick(10, 1);
  assert.equal(cluster.raw(1).leadTransferee, 0);
  assert(cluster.raw(1).propose(DATA, 1).ok);
});

test('a joint state is left even if a hand-over stood in the way when that was due', () => {
  const cluster = new TestCluster(voters(1, 2, 3), { checkQuorum: false }, 5);
  cluster.elect(1);
  const { raw } = cluster.member(1);
  assert(raw.proposeConfChange(change([AddNode, 4], [RemoveNode, 3]), 1).ok);
  cluster.isolate(3);
  raw.transferLeader(3);
  cluster.settle();
  assert.deepEqual(raw.confState().votersOutgoing, [1, 2, 3]);
  cluster.tick(10, 1);
  assert.deepEqual(raw.confState(), { ...EMPTY_CONF_STATE, voters: [1, 2, 4] });
});

test('a learner gets the log and has no vote', () => {
  const cluster = new TestCluster(voters(1), {}, 2);
  cluster.elect(1);
  cluster.raw(1).proposeConfChange(change([AddLearner, 2]), 1);
  cluster.settle();
  cluster.isolate(2);
  cluster.raw(1).propose(DATA, 1);
  cluster.settle();
  assert.equal(cluster.raw(1).committed, 4, 'its answer is not needed');
  cluster.heal();
  cluster.tick(2, 1);
  assert.equal(cluster.raw(2).applied, 4);
  assert(cluster.raw(2).isLearner);
  cluster.raw(2).campaign();
  assert.equal(cluster.raw(2).state, StateType.Follower);
  cluster.raw(1).transferLeader(2);
  assert.equal(cluster.raw(1).leadTransferee, 0);
});

test('only one configuration change is under way at a time, and a refusal says why', () => {
  const cluster = aCluster();
  const { raw } = cluster.member(1);
  assert(raw.proposeConfChange(change([AddLearner, 4]), 1).ok);
  assert(raw.hasPendingConfChange);
  const second = raw.proposeConfChange(change([AddLearner, 5]), 1);
  assert(!second.ok && second.error === 'refused');
  assert.match(second.reason, /possible unapplied conf change at index 3 \(applied to 2\)/);
  cluster.settle();
  assert(!raw.hasPendingConfChange);
  assert.deepEqual(raw.confState().learners, [4]);
});

test('a change that could not be applied is never committed', () => {
  const cluster = new TestCluster(voters(1));
  cluster.elect(1);
  const result = cluster.raw(1).proposeConfChange(change([RemoveNode, 1]), 1);
  assert.deepEqual(result, { ok: false, error: 'refused', reason: 'removed all voters' });
  cluster.settle();
  assert.deepEqual(cluster.raw(1).confState().voters, [1]);
});

test('a new leader takes no change before it has applied what may be in its log', () => {
  const m = aLeader({ log: [1, 1], term: 1 });
  const result = m.raw.proposeConfChange(change([AddLearner, 4]), 2);
  assert(!result.ok && result.error === 'refused');
});

test('a leader that is removed does not count itself and steps down when that is applied', () => {
  const cluster = aCluster();
  cluster.raw(1).proposeConfChange(change([RemoveNode, 1]), 1);
  cluster.settle();
  assert.equal(cluster.raw(1).state, StateType.Follower);
  assert.deepEqual(cluster.raw(2).confState().voters, [2, 3]);
  cluster.tick(60, 2, 3);
  assert(cluster.raw(2).isLeader || cluster.raw(3).isLeader);
});

test('who is left learns of a removal from the vote of the removed one', () => {
  const cluster = new TestCluster(voters(1, 2));
  cluster.elect(1);
  // A leader removes itself, and its log is longer: the other has the change, and not its commit.
  const removal = cluster.raw(1).proposeConfChange(change([RemoveNode, 1]), 1);
  assert(removal.ok);
  cluster.member(1).takeReady();
  cluster.raw(1).propose(DATA, 1);
  cluster.link = (m) => m.to !== 2 || (m.index < removal.index && m.commit < removal.index);
  cluster.settle();
  assert.deepEqual(cluster.raw(1).confState().voters, [2]);
  assert.deepEqual(cluster.raw(2).confState().voters, [1, 2]);
  cluster.heal();
  cluster.tick(60, 2);
  assert(cluster.raw(2).isLeader);
});

test('a candidate that learns of a change of the members counts no votes by the old ones', () => {
  const cluster = new TestCluster(voters(1, 2), { preVote: false });
  cluster.elect(1);
  assert(cluster.raw(1).proposeConfChange(change([RemoveNode, 1]), 1).ok);
  cluster.link = (m) => m.to !== 2 || m.commit < 3;
  cluster.settle();
  assert.deepEqual(cluster.raw(1).confState().voters, [2]);
  cluster.heal();
  cluster.raw(2).campaign();
  cluster.settle();
  assert.equal(cluster.raw(2).state, StateType.Follower);
  assert.deepEqual(cluster.raw(2).confState().voters, [2]);
  cluster.raw(2).campaign();
  cluster.settle();
  assert(cluster.raw(2).isLeader);
});

test('with pre-vote, a member that comes back does not disturb the leader', () => {
  const cluster = aCluster();
  cluster.isolate(3);
  cluster.tick(50, 3);
  assert.equal(cluster.raw(3).term, 1, 'asking does not raise the term');
  cluster.heal();
  cluster.tick(4, 1, 3);
  assert.deepEqual([cluster.raw(1).isLeader, cluster.raw(1).term], [true, 1]);
  assert.equal(cluster.raw(3).lead, 1);
});

test('without pre-vote, a member that got ahead in its term is let back in', () => {
  const cluster = aCluster({ preVote: false });
  cluster.isolate(3);
  cluster.tick(50, 3);
  assert(cluster.raw(3).term > 1);
  cluster.heal();
  cluster.tick(30, 1, 2, 3);
  assert.notEqual(cluster.leader, undefined);
  assert.equal(new Set(cluster.members.map((m) => m.raw.term)).size, 1);
});

test('a leader without a quorum steps down within two election timeouts', () => {
  const cluster = aCluster();
  cluster.isolate(1);
  cluster.tick(20, 1);
  assert.equal(cluster.raw(1).state, StateType.Follower);
});

test('a leader steps down when asked to, and another takes over', () => {
  const cluster = aCluster();
  cluster.raw(1).stepDown();
  assert.equal(cluster.raw(1).state, StateType.Follower);
  cluster.tick(60, 2, 3);
  assert(cluster.raw(2).isLeader || cluster.raw(3).isLeader);
});

test('followers that forget their leader may elect another at once', () => {
  const cluster = aCluster();
  cluster.isolate(1);
  cluster.raw(2).campaign();
  cluster.settle();
  assert(!cluster.raw(2).isLeader, 'member 3 still has a leader');
  cluster.raw(3).forgetLeader();
  cluster.raw(2).campaign();
  cluster.settle();
  assert(cluster.raw(2).isLeader);
});

test('nobody campaigns with a committed configuration change that is not applied', () => {
  const cluster = aCluster();
  cluster.raw(1).proposeConfChange(change([AddLearner, 4]), 1);
  const follower = cluster.member(2);
  follower.applyOne = () => {};
  for (let i = 0; i < 3; i++) {
    for (const m of cluster.members) {
      m.takeReady();
      while (m.appends.length > 0) m.writeOne();
      for (const x of m.outbox.splice(0)) cluster.members[x.to - 1]?.raw.step(x);
    }
  }
  assert(follower.raw.committed > follower.raw.applied);
  follower.raw.campaign();
  assert.equal(follower.raw.state, StateType.Follower);
});

test('a snapshot brings a follower up whose entries are gone', () => {
  const cluster = aCluster();
  cluster.isolate(3);
  for (let i = 0; i < 5; i++) cluster.raw(1).propose(DATA, 1);
  cluster.settle();
  cluster.member(1).compact(6);
  cluster.heal();
  cluster.tick(4, 1);
  assert.equal(cluster.raw(3).firstIndex, 8);
  assert.equal(cluster.raw(3).applied, 7);
  assert.equal(cluster.raw(1).progress(3)?.state, ProgressState.Replicate);
});

test('a snapshot that failed is tried again after the next heartbeat', () => {
  const cluster = aCluster();
  cluster.isolate(3);
  for (let i = 0; i < 5; i++) cluster.raw(1).propose(DATA, 1);
  cluster.settle();
  cluster.member(1).compact(6);
  cluster.link = (m) => m.type !== MessageType.Snap;
  cluster.tick(4, 1);
  assert.equal(cluster.raw(1).progress(3)?.state, ProgressState.Snapshot);
  cluster.heal();
  cluster.raw(1).reportSnapshot(3, false);
  cluster.tick(4, 1);
  assert.equal(cluster.raw(3).applied, 7);
});

test('a snapshot waits until entries that are being applied are through', () => {
  const m = aMember({ term: 1 });
  const entries = entriesOf([1, 1]);
  m.raw.step(message({ type: MessageType.App, from: 2, to: 1, term: 1, entries, commit: 2 }));
  m.takeReady();
  m.writeOne();
  m.takeReady();
  assert.equal(m.applies.length, 1);
  const snapshot = { index: 9, term: 1, confState: voters(1, 2), data: NO_BYTES };
  m.raw.step(message({ type: MessageType.Snap, from: 2, to: 1, term: 1, snapshot }));
  assert.deepEqual(m.raw.confState().voters, [1, 2, 3]);
  m.applyOne();
  assert.deepEqual(m.raw.confState().voters, [1, 2]);
  m.drain();
  assert.equal(m.raw.applied, 9);
});

test('a snapshot of what the log has already only moves the commit index', () => {
  const m = aMember({ log: [1, 1, 1], term: 1 });
  const snapshot = { index: 2, term: 1, confState: voters(1, 2, 3), data: NO_BYTES };
  const [answer] = m.receive({ type: MessageType.Snap, from: 2, snapshot });
  assert.deepEqual([m.raw.committed, m.raw.lastIndex, answer?.index], [2, 3, 2]);
});

test('an old snapshot changes nothing', () => {
  const m = aMember({ log: [1, 1, 1], term: 1, commit: 3 });
  const snapshot = { index: 2, term: 1, confState: voters(2), data: NO_BYTES };
  const [answer] = m.receive({ type: MessageType.Snap, from: 2, snapshot });
  assert.deepEqual([m.raw.committed, answer?.index], [3, 3]);
  assert.deepEqual(m.raw.confState().voters, [1, 2, 3]);
});

test('entries that storage is still reading are sent when they are there', () => {
  const m = aLeader({ log: [1, 1, 1], term: 1 });
  const { storage } = m;
  const entries = storage.entries.bind(storage);
  storage.entries = () => 'pending';
  m.receive({ type: MessageType.AppResp, from: 2, index: 3, reject: true, rejectHint: 0 });
  assert.equal(m.raw.progress(2)?.next, 1);
  storage.entries = entries;
  m.raw.retryAppends();
  const sent = m.drain().filter((x) => x.to === 2 && x.type === MessageType.App);
  assert.deepEqual(
    sent.map((a) => a.entries.length),
    [4],
  );
});

test('a full window sends no more entries, and heartbeats get it going again', () => {
  const cluster = aCluster({ maxInflightMsgs: 2 });
  cluster.isolate(3);
  for (let i = 0; i < 6; i++) cluster.raw(1).propose(DATA, 1);
  cluster.settle();
  assert.equal(cluster.raw(1).progress(3)?.inflights.count, 2);
  assert.equal(cluster.raw(3).lastIndex, 2);
  cluster.heal();
  cluster.tick(4, 1);
  assert.equal(cluster.raw(3).applied, 8);
});

test('an unreachable follower is probed instead of flooded', () => {
  const cluster = aCluster();
  cluster.raw(1).reportUnreachable(2);
  assert.equal(cluster.raw(1).progress(2)?.state, ProgressState.Probe);
});

test('a restart takes up term, vote, log and applied index', () => {
  const cluster = aCluster();
  cluster.raw(1).propose(DATA, 1);
  cluster.settle();
  const m = cluster.member(2);
  m.crash();
  const { raw } = m;
  assert.deepEqual([raw.term, raw.vote, raw.lastIndex, raw.applied], [1, 1, 3, 3]);
  assert.equal(raw.lead, 0);
});

test('a commit index that was not written in time is taken from what is applied', () => {
  const storage = new MemoryStorage();
  storage.append(entriesOf([1, 1, 1]));
  storage.setHardState({ term: 1, vote: 0, commit: 1 });
  const raw = new RawNode({ id: 1, storage, random: () => 0, applied: 2 });
  assert.deepEqual([raw.committed, raw.applied], [2, 2]);
});

test('what is not written is neither voted, acknowledged nor counted', () => {
  const follower = aMember({ term: 1 });
  const entries = entriesOf([1]);
  follower.raw.step(message({ type: MessageType.App, from: 2, to: 1, term: 1, entries }));
  follower.takeReady();
  assert.equal(follower.outbox.length, 0);
  follower.writeOne();
  assert.equal(follower.outbox[0]?.type, MessageType.AppResp);
  const alone = aMember({ voters: [1] });
  alone.raw.campaign();
  alone.takeReady();
  assert.equal(alone.raw.state, StateType.Candidate);
  alone.writeOne();
  assert(alone.raw.isLeader);
  alone.takeReady();
  assert.equal(alone.raw.committed, 0);
  alone.writeOne();
  assert.equal(alone.raw.committed, 1);
});

test('a late write of an earlier term makes nothing durable, even of an equal entry', () => {
  const m = aMember({ term: 1 });
  const append = (term: number, from: number, entryTerm: number) => {
    const entries = entriesOf([entryTerm]);
    m.raw.step(message({ type: MessageType.App, from, to: 1, term, entries }));
    m.takeReady();
  };
  append(1, 2, 1);
  append(2, 3, 2);
  append(3, 2, 1);
  // Three writes are under way: 1/1, then 2/1 over it, then 1/1 again. Only the last one counts.
  assert.equal(m.appends.length, 3);
  m.writeOne();
  assert.equal(m.raw.hasReady(), false);
  const commit = { type: MessageType.Heartbeat, from: 2, to: 1, term: 3, commit: 1 };
  m.raw.step(message(commit));
  m.takeReady();
  assert.equal(m.applies.length, 0, 'the disk will have 2/1 before it has 1/1 again');
  m.drain();
  assert.deepEqual(
    [...m.state.values()].map((e) => e.term),
    [1],
  );
});

test('a broken or strange message is dropped, counted and never throws', () => {
  const m = aLeader();
  const { App, Hup, Snap, Prop, Heartbeat, Vote, AppResp, StorageAppend } = MessageType;
  const gap = entriesOf([1, 1], 5);
  const whole = { index: 9, term: 1, confState: voters(1, 2), data: NO_BYTES };
  const twice = { ...voters(1, 2), learners: [2] };
  const strange: [MessageFields, string][] = [
    [{ type: 99 as MessageType, from: 2 }, 'malformed'],
    [{ type: -1 as MessageType, from: 2 }, 'malformed'],
    [{ type: App, from: 0, term: 1 }, 'malformed'],
    [{ type: App, from: 2, term: 0 }, 'malformed'],
    [{ type: App, from: 2, term: Number.NaN }, 'malformed'],
    [{ type: App, from: 2, term: 2, index: -1 }, 'malformed'],
    [{ type: App, from: 2, term: 2, index: 1, entries: gap }, 'malformed'],
    [{ type: App, from: 2, term: 2, entries: entriesOf([3]) }, 'malformed'],
    [{ type: App, from: 2, term: 2, to: 3 }, 'malformed'],
    [{ type: Snap, from: 2, term: 2 }, 'malformed'],
    [{ type: Snap, from: 2, term: 2, snapshot: { ...whole, index: 0 } }, 'malformed'],
    [{ type: Snap, from: 2, term: 2, snapshot: { ...whole, confState: voters() } }, 'malformed'],
    [{ type: Snap, from: 2, term: 2, snapshot: { ...whole, confState: twice } }, 'malformed'],
    [{ type: Prop, from: 2 }, 'malformed'],
    [{ type: Heartbeat, from: 2, term: 1, commit: 1.5 }, 'malformed'],
    [{ type: Vote, from: 2, term: 2 ** 60 }, 'malformed'],
    [{ type: AppResp, from: LOCAL_APPEND, term: 1 }, 'malformed'],
    [{ type: Hup, from: 2 }, 'local-message'],
    [{ type: StorageAppend, from: 2, term: 1 }, 'local-message'],
    [{ type: AppResp, from: 9, term: 1 }, 'peer-not-found'],
  ];
  for (const [fields, result] of strange) {
    assert.equal(m.raw.step(message({ to: 1, ...fields })), result, JSON.stringify(fields));
  }
  assert.equal(m.raw.malformedCount, strange.length - 1);
  assert.deepEqual([m.raw.isLeader, m.raw.term], [true, 1]);
  const entry = { term: 0, index: 0, type: 2 as const, data: Uint8Array.of(255) };
  assert.equal(m.raw.step(message({ type: Prop, from: 2, to: 1, entries: [entry] })), 'malformed');
});

test('an acknowledgement of more than there is proves nothing', () => {
  const m = aLeader();
  m.receive({ type: MessageType.AppResp, from: 2, index: 99 });
  assert.equal(m.raw.committed, 0);
  assert.equal(m.raw.progress(2)?.match, 0);
});

test('two leaders in one term stop the process', () => {
  const m = aLeader();
  const other = blankMessage(MessageType.Heartbeat);
  Object.assign(other, { from: 2, to: 1, term: 1 });
  assert.throws(() => m.raw.step(other), /both lead term 1/);
});

test('synchronous mode works off one Ready after the other', () => {
  const storage = new MemoryStorage();
  storage.applySnapshot({ index: 1, term: 1, confState: voters(1), data: NO_BYTES });
  const raw = new RawNode({ id: 1, storage, random: () => 0, asyncStorageWrites: false });
  raw.campaign();
  const applied: number[] = [];
  while (raw.hasReady()) {
    const rd = raw.ready();
    if (rd.hardState !== null) storage.setHardState(rd.hardState);
    storage.append(rd.entries);
    applied.push(...rd.committedEntries.map((e) => e.index));
    if (applied.length === 0 && raw.isLeader && raw.lastIndex === 2) raw.propose(DATA, 1);
    raw.advance();
  }
  assert.deepEqual(applied, [2, 3]);
});

test('nothing is formatted when nobody listens', () => {
  let lines = 0;
  const trace = { level: TraceLevel.Error, write: () => lines++ };
  const cluster = aCluster({ trace });
  assert.equal(lines, 0);
  cluster.raw(1).status();
});

test('settings that contradict each other are refused', () => {
  const storage = new MemoryStorage();
  const make = (options: object) => () =>
    new RawNode({ id: 1, storage, random: () => 0, ...options });
  assert.throws(make({ id: 0 }), /raft id/);
  assert.throws(make({ electionTicks: 2, heartbeatTicks: 2 }), /election timeout/);
  assert.throws(make({ readOnly: 'lease', checkQuorum: false }), /lease reads/);
  assert.throws(make({ maxInflightBytes: 1 }), /hold one message/);
});
