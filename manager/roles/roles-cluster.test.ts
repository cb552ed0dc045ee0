import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Certificate, Member, Node, RaftService, Role } from '../../proto/index.ts';
import { SeededIds } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import { systemDisk } from '../database/index.ts';
import { TestCluster, type TestMember } from '../raft/cluster.fixture.ts';
import { FIRST_INDEX, wipeMember } from '../raft/index.ts';
import type { RowChange } from '../replication.ts';
import { ReplicatedStore } from '../store/replicated-store.ts';
import { SCHEMA, type TableName } from '../store/schema.ts';
import { Roles } from './roles.ts';

/** Managers with their real parts: driver, store and roles; a node's own daemon is the test. */
describe('managers over real drivers and stores', () => {
  let cluster: TestCluster;
  const stores = new Map<number, ReplicatedStore>();
  beforeEach(async () => {
    cluster = new TestCluster();
    cluster.firstRows = firstRows();
    cluster.parts = (member) => partsOf(member);
    await cluster.start(1);
  });
  afterEach(() => cluster.stop());

  function partsOf(member: TestMember) {
    const { driver } = member;
    const store = new ReplicatedStore({
      clock: cluster.clock,
      ids: new SeededIds(new SeededRandom(member.id)),
      log: silentLog,
      proposer: driver,
      leaderAddress: () => driver.leader()?.address,
    });
    const roles = new Roles({
      clock: cluster.clock,
      log: silentLog,
      store,
      raft: driver,
      probe: async (address) => cluster.network.probe(address),
      setCertificateRole: (id, role) =>
        put(store, 'certificate', 'ca', Certificate.create({ id, role })),
    });
    driver.onLeadership(store);
    driver.onLeadership(roles);
    stores.set(member.id, store);
    return { machine: store, join: roles.join.bind(roles) };
  }

  const leaderStore = () => stores.get(cluster.leader().id)!;
  const phase = (nodeId: string) => leaderStore().view.table('member').get(nodeId)?.phase;
  const wish = (id: string, role: Role) =>
    cluster.done(put(leaderStore(), 'node', 'users', Node.create({ id, name: id, role })));

  async function promote(id: number): Promise<TestMember> {
    const nodeId = `node-${id}`;
    await cluster.done(
      put(
        leaderStore(),
        'certificate',
        'ca',
        Certificate.create({ id: nodeId, role: Role.WORKER }),
      ),
    );
    await wish(nodeId, Role.MANAGER);
    await cluster.until(() => phase(nodeId) === 'certificate');
    const member = await cluster.prepare(id);
    await askToJoin(member);
    await cluster.until(() => phase(nodeId) === 'voter');
    return member;
  }

  async function askToJoin({ id, nodeId, address, driver }: TestMember): Promise<void> {
    const client = cluster.network.dial(address, nodeId, cluster.leader().address);
    const request = { nodeId, raftId: id, address, damage: '', epoch: 0 };
    const answer = await cluster.done(client.unary(RaftService.joinRaft, request));
    for (const peer of answer.peers) driver.directory.learn(peer);
  }

  test('two promotions make three voters with the same state', async () => {
    await promote(2);
    await promote(3);
    assert.deepEqual([...cluster.leader().driver.confState().voters].sort(), [1, 2, 3]);
    await cluster.until(() =>
      [...stores.values()].every((store) => store.view.table('member').size === 3),
    );
  });

  test('a demoted leader hands over, and the next one removes it', async () => {
    await promote(2);
    await promote(3);
    const old = cluster.leader();
    await wish(old.nodeId, Role.WORKER);
    await cluster.until(() => old.wasRemoved);
    await cluster.until(() => phase(old.nodeId) === undefined);
    const rows = leaderStore().view;
    assert.equal(rows.table('certificate').get(old.nodeId)?.role, Role.WORKER);
    assert.ok(rows.table('removedMember').has(String(old.id)));
    assert.equal(cluster.leader().driver.confState().voters.length, 2);
  });

  test('a manager whose state is damaged comes back with a new raft id', async () => {
    await promote(2);
    const damaged = await promote(3);
    await cluster.kill(damaged);
    for (const name of ['vote.a', 'vote.b']) {
      await writeFile(join(damaged.directory, name), 'damaged');
    }
    await assert.rejects(cluster.open(damaged), { code: 'DAMAGED' });
    await wipeMember(damaged.directory, systemDisk);
    const { nodeId, address } = damaged;
    const member = await cluster.prepare(33, { nodeId, address });
    await askToJoin(member);
    await cluster.until(() => {
      const { voters, learners } = cluster.leader().driver.confState();
      return [...voters].sort((a, b) => a - b).join() === '1,2,33' && learners.length === 0;
    });
    assert.ok(leaderStore().view.table('removedMember').has('3'));
    await cluster.until(() => stores.get(33)!.view.table('member').size === 3);
  });

  test('a manager that comes back with another address tells the cluster', async () => {
    await promote(2);
    const moved = await promote(3);
    await cluster.kill(moved);
    Object.assign(moved, { address: 'elsewhere:1' });
    await cluster.open(moved);
    await askToJoin(moved);
    const others = cluster.members.filter((m) => m !== moved);
    await cluster.until(() =>
      others.every((m) => m.driver.directory.get(3)?.address === 'elsewhere:1'),
    );
    await wish('node-9', Role.WORKER);
    await cluster.until(() => stores.get(3)!.view.table('node').has('node-9'));
  });

  test('the leader dies in the middle of a promotion and the next one ends it', async () => {
    await promote(2);
    await promote(3);
    const nodeId = 'node-4';
    await cluster.done(
      put(
        leaderStore(),
        'certificate',
        'ca',
        Certificate.create({ id: nodeId, role: Role.WORKER }),
      ),
    );
    await wish(nodeId, Role.MANAGER);
    await cluster.until(() => phase(nodeId) === 'certificate');
    const member = await cluster.prepare(4);
    const old = cluster.leader();
    await askToJoin(member);
    await cluster.kill(old);
    await cluster.until(() => cluster.members.some((m) => m !== old && m.driver.isLeader));
    await cluster.until(() => phase(nodeId) === 'voter');
  });
});

function put<T extends 'node' | 'certificate'>(
  store: ReplicatedStore,
  table: T,
  writer: 'users' | 'ca',
  row: T extends 'node' ? Node : Certificate,
): Promise<void> {
  return store.update((draft) => draft.put(table, row as never), { writer });
}

function firstRows(): RowChange[] {
  const id = 'node-1';
  const role = Role.MANAGER;
  const row = <R>(table: TableName, encode: (value: R) => Uint8Array, value: R): RowChange => {
    const { secret } = SCHEMA[table];
    return { table, id, version: FIRST_INDEX, bytes: encode(value), secret };
  };
  const member = { id, raftId: 1, address: 'member-1:1', role, phase: 'voter' };
  return [
    row('node', Node.encode, Node.create({ id, name: id, role })),
    row('certificate', Certificate.encode, Certificate.create({ id, role })),
    row('member', Member.encode, Member.create(member)),
  ];
}
