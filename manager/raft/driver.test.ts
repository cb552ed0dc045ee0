import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { RowSlices } from '../replication.ts';
import { TestCluster, TestMachine, type TestMember } from './cluster.fixture.ts';

/** Its tables take as long as the test wants. */
class SlowMachine extends TestMachine {
  isAsked = false;
  finish: () => void = () => undefined;

  override async load(index: number, term: number, rows: RowSlices): Promise<void> {
    this.isAsked = true;
    await new Promise<void>((resolve) => {
      this.finish = resolve;
    });
    return super.load(index, term, rows);
  }
}

describe('three members', () => {
  const cluster = new TestCluster();
  before(() => cluster.start(3));
  after(() => cluster.stop());

  test('an entry is applied on every member', async () => {
    await cluster.write('a', '1');
    await cluster.until(() => cluster.members.every((m) => m.machine.rows.get('a') === '1'));
  });

  test('a leader knows at every moment who is there, and soon who is not', async () => {
    const { driver } = cluster.leader();
    const others = cluster.members.filter((m) => m.driver !== driver);
    for (let i = 0; i < 150; i++) {
      await cluster.pass(10);
      assert.ok(others.every((m) => driver.progress(m.id)?.isActive));
    }
    cluster.network.cut(others[0]!.address);
    await cluster.until(() => driver.progress(others[0]!.id)?.isActive === false, 1_000);
    assert.equal(driver.progress(others[1]!.id)?.isActive, true);
    cluster.network.heal(others[0]!.address);
    await cluster.until(() => driver.progress(others[0]!.id)?.isActive === true);
  });

  test('a follower that was restarted has every row and goes on', async () => {
    const follower = cluster.members.find((m) => !m.driver.isLeader)!;
    await cluster.kill(follower);
    await cluster.write('b', '2');
    await cluster.open(follower);
    await cluster.until(() => follower.machine.rows.get('b') === '2');
    assert.equal(follower.machine.rows.get('a'), '1');
    assert.equal(follower.machine.rows.get('first'), 'row');
  });

  test('a killed leader is replaced within an election timeout and loses nothing', async () => {
    const old = cluster.leader();
    await cluster.write('c', '3');
    await cluster.kill(old);
    const fromMs = cluster.clock.monotonicMs();
    await cluster.until(() => cluster.members.some((m) => m !== old && m.driver.isLeader));
    assert.ok(cluster.clock.monotonicMs() - fromMs <= 300, 'a refused port shortens the election');
    await cluster.write('d', '4');
    await cluster.open(old);
    await cluster.until(() => old.machine.rows.get('d') === '4');
    assert.equal(old.machine.rows.get('c'), '3');
  });

  test('a member whose tables are not complete answers no read, gives no vote and wants none', async () => {
    const [slow, other, last] = cluster.members as [TestMember, TestMember, TestMember];
    await cluster.kill(slow);
    const loading = new SlowMachine();
    cluster.parts = () => ({ machine: loading, join: () => Promise.reject(new Error('not here')) });
    const opened = cluster.open(slow);
    await cluster.until(() => loading.isAsked);
    await cluster.kill(other);
    let answered = false;
    const read = slow.driver.readIndex(60_000).finally(() => {
      answered = true;
    });
    await cluster.pass(5_000);
    assert.deepEqual([answered, slow.driver.isLeader, last.driver.isLeader], [false, false, false]);
    loading.finish();
    await opened;
    await cluster.done(read);
    await cluster.until(() => slow.driver.isLeader || last.driver.isLeader);
    cluster.parts = undefined;
    await cluster.open(other);
  });
});

test('the election timeout is changed while the members work, and all timers follow it', async () => {
  const cluster = new TestCluster();
  await cluster.start(3);
  try {
    const silentFor = async (timeoutMs: number): Promise<number> => {
      const old = cluster.leader();
      for (const { driver } of cluster.members) driver.setElectionTimeout(timeoutMs);
      // Time for a healed member to be connected again.
      await cluster.pass(5_000);
      const fromMs = cluster.clock.monotonicMs();
      cluster.network.cut(old.address);
      const led = () => cluster.members.some((m) => m !== old && m.driver.isLeader);
      await cluster.until(led, 10 * timeoutMs);
      const tookMs = cluster.clock.monotonicMs() - fromMs;
      cluster.network.heal(old.address);
      await cluster.until(() => !old.driver.isLeader);
      return tookMs;
    };
    const long = await silentFor(4_000);
    assert.ok(long >= 3_000, `after ${long} ms`);
    const short = await silentFor(200);
    assert.ok(short >= 150 && short <= 1_000, `after ${short} ms`);
  } finally {
    await cluster.stop();
  }
});
