import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Role, SnapshotChunk } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { peerOf, TestCluster, type TestMember } from './cluster.fixture.ts';
import { blankMessage, MessageType } from './core/index.ts';
import { toChunks } from './snapshot/chunks.ts';
import { rowKey } from './storage/keys.ts';
import { rowOp } from './storage/row-record.ts';

describe('members and faults', () => {
  let cluster: TestCluster;
  beforeEach(() => {
    cluster = new TestCluster();
  });
  afterEach(() => cluster.stop());

  test('a member whose entries are compacted away gets the rows as a snapshot', async () => {
    await cluster.start(3);
    const lagging = cluster.members.find((m) => !m.driver.isLeader)!;
    await cluster.kill(lagging);
    const { driver } = cluster.leader();
    const count = LIMITS.raftCompactEveryEntries + LIMITS.raftLogKeepEntries + 10;
    const results = [];
    for (let i = 0; i < count; i++) {
      results.push(driver.propose(Buffer.from(`k${i % 100}=${i}`), driver.leaderTerm));
      if (i % 1_000 === 0) await cluster.settle();
    }
    await cluster.done(Promise.all(results));
    await cluster.pass(1_000);
    await cluster.open(lagging);
    const loads = lagging.machine.loads;
    await cluster.until(() => lagging.machine.rows.get(`k${(count - 1) % 100}`) === `${count - 1}`);
    assert.equal(lagging.machine.loads, loads + 1, 'the rows came as a snapshot');
    assert.equal(lagging.machine.rows.get('first'), 'row');
    await cluster.write('after', '1');
    await cluster.until(() => lagging.machine.rows.get('after') === '1');
  });

  test('a member that received a snapshot has it after a restart', async () => {
    await cluster.start(1);
    await cluster.write('a', '1');
    const member = await cluster.join(2);
    assert.equal(member.machine.rows.get('a'), '1');
    await cluster.kill(member);
    await cluster.open(member);
    assert.equal(member.machine.rows.get('a'), '1');
    await cluster.write('b', '2');
    await cluster.until(() => member.machine.rows.get('b') === '2');
  });

  test('a snapshot that comes while entries are being applied is installed after them', async () => {
    await cluster.start(2);
    const leader = cluster.leader();
    const follower = cluster.members.find((m) => m !== leader)!;
    const { machine, driver } = follower;
    const apply = machine.apply.bind(machine);
    // Each entry takes longer than a slice: the rest of them waits for other events.
    machine.apply = (index, term, entry) => {
      cluster.clock.pause(20);
      return apply(index, term, entry);
    };
    const term = leader.driver.leaderTerm;
    for (const key of ['a', 'b', 'c']) void leader.driver.propose(Buffer.from(`${key}=1`), term);
    await cluster.settle();
    assert.ok(driver.appliedIndex < leader.driver.appliedIndex, 'the follower is applying');
    const index = leader.driver.appliedIndex + 1_000;
    const ack = driver.receiver.receive(snapshotAt(leader, follower, index), contextOf(leader));
    await cluster.settle();
    const { loads } = machine;
    await cluster.until(() => machine.loads > loads);
    assert.equal((await ack).installed, true);
    assert.deepEqual([...machine.rows], [['only', 'row']]);
    assert.equal(driver.appliedIndex, index);
    assert.deepEqual(follower.fatal, []);
  });

  test('a broken invariant ends a member, with the last lines of its trace in the log', async () => {
    await cluster.start(3);
    const leader = cluster.leader();
    const other = cluster.members.find((m) => m !== leader)!;
    // Whoever leads the same term a second time breaks what raft stands on.
    const lie = { ...blankMessage(MessageType.Heartbeat), from: other.id, to: leader.id };
    other.driver.transport.send({ ...lie, term: leader.driver.leaderTerm });
    await cluster.until(() => leader.fatal.length > 0);
    assert.match(leader.fatal[0]!.message, /broken invariant/);
    const { fields, message } = leader.errors.at(-1)!;
    assert.equal(message, 'the raft part must stop');
    const { trace } = fields as { trace: readonly string[] };
    assert.ok(trace.some((line) => line.includes('became leader')));
    assert.deepEqual(await leader.driver.propose(Buffer.from('a=1'), 1).catch(() => 'ended'), {
      kind: 'dropped',
      reason: 'not-leader',
    });
  });

  test('a removed member is told so and the others go on', async () => {
    await cluster.start(3);
    const leader = cluster.leader();
    const gone = cluster.members.find((m) => m !== leader)!;
    await cluster.done(leader.driver.proposeConfChange({ kind: 'remove', peer: peerOf(gone) }));
    assert.deepEqual(leader.driver.confState().voters.includes(gone.id), false);
    await cluster.pass(5_000);
    assert.equal(gone.wasRemoved, false, 'only its leader knows so far');
    await cluster.write(`removedMember/${gone.id}`, '');
    await cluster.until(() => gone.wasRemoved);
    await cluster.write('a', '1');
  });

  test('a removed leader stays until the one that is left knows that it is alone', async () => {
    await cluster.start(2);
    const [first, second] = cluster.members as [TestMember, TestMember];
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    cluster.holdWrites.set(second.id, held);
    void first.driver.proposeConfChange({ kind: 'remove', peer: peerOf(first) });
    await cluster.pass(20);
    // Its acknowledgement arrives, and what follows from that is lost on the way back.
    cluster.network.deafen(second.address);
    release();
    await cluster.until(() => first.driver.confState().voters.length === 1);
    await cluster.pass(1_000);
    assert.equal(first.wasRemoved, false);
    cluster.network.heal(second.address);
    await cluster.until(() => second.driver.isLeader);
    assert.deepEqual(second.driver.confState().voters, [second.id]);
    await cluster.write(`removedMember/${first.id}`, '');
    await cluster.until(() => first.wasRemoved);
  });

  test('a member that was away when another joined can answer it', async () => {
    await cluster.start(3);
    const [first, second, away] = cluster.members as [TestMember, TestMember, TestMember];
    cluster.network.cut(away.address);
    await cluster.until(() => first.driver.isLeader || second.driver.isLeader);
    const joined = await cluster.join(4);
    // The two that are left cannot make a leader, but each must be able to give the other its vote.
    await cluster.kill(first);
    await cluster.kill(second);
    cluster.network.heal(away.address);
    await cluster.until(() => away.driver.directory.get(4)?.address === joined.address);
  });

  test('leadership is handed over in less than a tick and a half', async () => {
    await cluster.start(3);
    const old = cluster.leader();
    const fromMs = cluster.clock.monotonicMs();
    await cluster.done(old.driver.transferLeadership());
    assert.ok(cluster.clock.monotonicMs() - fromMs < 75);
    await cluster.until(() => cluster.members.some((m) => m.driver.isLeader));
    assert.notEqual(cluster.leader(), old);
  });

  test('a leader that stops hands over first', async () => {
    await cluster.start(3);
    const old = cluster.leader();
    await cluster.done(old.opened.close());
    await cluster.until(() => cluster.members.some((m) => m !== old && m.driver.isLeader), 100);
  });

  test('a leader that is cut off steps down and its write is not acknowledged', async () => {
    await cluster.start(3);
    const old = cluster.leader();
    let lost = 0;
    old.driver.onLeadership({ gained: () => undefined, lost: () => lost++ });
    cluster.network.cut(old.address);
    const result = await cluster.done(
      old.driver.propose(Buffer.from('x=1'), old.driver.leaderTerm),
    );
    assert.deepEqual(result, { kind: 'unknown' });
    assert.equal(lost, 1);
    await cluster.until(() => cluster.members.some((m) => m !== old && m.driver.isLeader));
    await cluster.write('y', '2');
    cluster.network.heal(old.address);
    await cluster.until(() => old.machine.rows.get('y') === '2');
    assert.equal(old.machine.rows.has('x'), false, 'what was not committed is gone');
  });

  test('a leader whose disk hangs makes room for another', async () => {
    await cluster.start(3);
    const old = cluster.leader();
    let release = () => {};
    cluster.holdWrites.set(old.id, new Promise((resolve) => (release = resolve)));
    const pending = old.driver.propose(Buffer.from('x=1'), old.driver.leaderTerm);
    await cluster.until(() => cluster.members.some((m) => m !== old && m.driver.isLeader), 5_000);
    assert.equal((await cluster.done(pending)).kind !== 'dropped', true);
    release();
    cluster.holdWrites.delete(old.id);
    await cluster.write('y', '2');
    await cluster.until(() => old.machine.rows.get('y') === '2');
  });

  test('a leader that stood still during a write leads anew when nobody took over', async () => {
    await cluster.start(3);
    const old = cluster.leader();
    let release = () => {};
    cluster.holdWrites.set(old.id, new Promise((resolve) => (release = resolve)));
    const pending = old.driver.propose(Buffer.from('x=1'), old.driver.leaderTerm);
    await cluster.settle();
    // The write seems to hang, and nobody seems active, until the next look.
    cluster.clock.pause(3_000);
    await cluster.until(() => !old.driver.isLeader);
    release();
    cluster.holdWrites.delete(old.id);
    await cluster.done(pending);
    await cluster.until(() => cluster.members.some((m) => m.driver.isLeader), 10_000);
    await cluster.write('y', '2');
  });

  test('a leader whose disk seemed to hang at its first entry leads when nobody took over', async () => {
    await cluster.start(3);
    const old = cluster.leader();
    const next = cluster.members.find((m) => m !== old)!;
    const isLeading = (): boolean => next.driver.status().state === 'leader';
    let release = () => {};
    next.driver.onLeaderChange(() => {
      if (isLeading())
        cluster.holdWrites.set(next.id, new Promise((resolve) => (release = resolve)));
    });
    const handedOver = old.driver.transferLeadership(next.id).catch(() => undefined);
    await cluster.until(isLeading);
    // The first entry is committed and applied between two looks at the disk.
    cluster.clock.pause(3_000);
    await cluster.pass(next.driver.timing.tickMs);
    cluster.holdWrites.delete(next.id);
    release();
    await cluster.settle();
    assert.deepEqual([isLeading(), next.driver.isLeader], [true, false]);
    await cluster.until(() => next.driver.isLeader, 2_000);
    await cluster.write('y', '2');
    await handedOver;
  });

  test('a read waits for a quorum and sees every acknowledged write, on any member', async () => {
    await cluster.start(3);
    const index = await cluster.write('a', '1');
    for (const member of cluster.members) {
      assert.ok((await cluster.done(member.driver.readIndex())) >= index);
      assert.equal(member.machine.rows.get('a'), '1');
    }
  });

  test('a read without a quorum is refused', async () => {
    await cluster.start(3);
    const leader = cluster.leader();
    for (const member of cluster.members) if (member !== leader) await cluster.kill(member);
    await assert.rejects(cluster.done(leader.driver.readIndex()), { code: 'NO_QUORUM' });
  });

  test('all members stopped and started are the same cluster', async () => {
    await cluster.start(3);
    await cluster.write('a', '1');
    for (const member of cluster.members) await cluster.kill(member);
    for (const member of cluster.members) await cluster.open(member);
    await cluster.until(() => cluster.members.some((m) => m.driver.isLeader));
    await cluster.write('b', '2');
    await cluster.until(() => cluster.members.every((m) => m.machine.rows.get('b') === '2'));
    assert.ok(cluster.members.every((m) => m.machine.rows.get('a') === '1'));
  });

  test('after a pause a leader proves its quorum before it takes a proposal', async () => {
    await cluster.start(3);
    const { driver } = cluster.leader();
    const others = cluster.members.filter((m) => m.driver !== driver);
    for (const member of others) cluster.network.cut(member.address);
    cluster.clock.pause(300);
    await cluster.pass(130);
    assert.equal(driver.isProven, false);
    let isAnswered = false;
    const result = driver.propose(Buffer.from('a=1'), driver.leaderTerm).finally(() => {
      isAnswered = true;
    });
    const { committed } = driver.status();
    await cluster.settle();
    assert.deepEqual([isAnswered, driver.status().committed], [false, committed]);
    for (const member of others) cluster.network.heal(member.address);
    assert.equal((await cluster.done(result)).kind, 'applied');
    assert.equal(driver.isProven, true);
  });

  test('a leader that finds no quorum after a pause steps down', async () => {
    await cluster.start(3);
    const { driver } = cluster.leader();
    for (const member of cluster.members) {
      if (member.driver !== driver) cluster.network.cut(member.address);
    }
    cluster.clock.pause(300);
    await cluster.pass(130);
    const result = await cluster.done(driver.propose(Buffer.from('a=1'), driver.leaderTerm));
    assert.deepEqual(result, { kind: 'dropped', reason: 'not-leader' });
    assert.equal(driver.isLeader, false);
  });

  test('an entry of another term is refused', async () => {
    await cluster.start(1);
    const { driver } = cluster.leader();
    const result = await driver.propose(Buffer.from('a=1'), driver.leaderTerm + 1);
    assert.deepEqual(result, { kind: 'dropped', reason: 'wrong-term' });
  });
});

/** A snapshot with one row, from the leader, of an entry that it has not written. */
async function* snapshotAt(
  leader: TestMember,
  to: TestMember,
  index: number,
): AsyncGenerator<SnapshotChunk> {
  const { driver } = leader;
  const { clusterId, epoch, raftId: from } = driver.identity;
  const snapshot = { index, term: driver.leaderTerm, confState: driver.confState() };
  const message = { type: MessageType.Snap, from, to: to.id, term: driver.leaderTerm, snapshot };
  const header = { clusterId, epoch, from, to: to.id, message, resumeAfter: 0 };
  const made = SnapshotChunk.decode(SnapshotChunk.encode(SnapshotChunk.create({ header })));
  const bytes = Buffer.from('row');
  const row = { table: 'test', id: 'only', version: index, bytes, secret: false };
  const value = rowOp(1, row).value!;
  const rows = [{ key: rowKey(1, 'test', 'only'), value, secret: false }];
  yield* toChunks(made.header!, rows as never);
}

function contextOf({ nodeId }: TestMember): CallContext {
  return {
    peer: { kind: 'node', nodeId, role: Role.MANAGER, clusterId: 'cluster' },
  } as CallContext;
}
