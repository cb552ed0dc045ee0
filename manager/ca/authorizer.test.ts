import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Certificate, Cluster, Role } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { SystemIds } from '../../shared/ids.ts';
import type { Peer } from '../../shared/rpc/rpc.ts';
import { type Authorizer, authorize, RULES } from '../../shared/rpc/rules.ts';
import { LocalStore } from '../store/local-store.fixture.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import { type Standing, StoreAuthorizer } from './authorizer.ts';

const LEADER: Standing = { isLeader: true, hasLeader: true, leader: () => ({ nodeId: 'm' }) };
const FOLLOWER: Standing = { ...LEADER, isLeader: false };
const ALONE: Standing = { isLeader: false, hasLeader: false, leader: () => undefined };
/** Follows one of whom its rows do not know that it is a manager. */
const BEHIND: Standing = { ...FOLLOWER, leader: () => ({ nodeId: 'new' }) };

/** A manager that knows the manager `m` and the worker `w`. */
async function knowing(standing: Standing): Promise<StoreAuthorizer> {
  const store = new LocalStore({ clock: new ManualClock(), ids: new SystemIds() });
  await store.put('cluster', 'users', Cluster.create({ id: CLUSTER_KEY, clusterId: 'c' }));
  for (const [id, role] of [
    ['m', Role.MANAGER],
    ['w', Role.WORKER],
  ] as const)
    await store.put('certificate', 'ca', Certificate.create({ id, role }));
  return new StoreAuthorizer(store, standing);
}

function outcome(path: string, nodeId: string, role: Role, authorizer: Authorizer): string {
  const peer: Peer = { kind: 'node', nodeId, role, clusterId: 'c' };
  try {
    authorize(path, RULES[path], peer, authorizer);
    return 'ok';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test('a node is what its row says', async () => {
  const authorizer = await knowing(FOLLOWER);
  assert.equal(authorizer.nodeRole('m'), Role.MANAGER);
  assert.equal(authorizer.nodeRole('w'), Role.WORKER);
});

test('only a leader says that a node without a row was removed', async () => {
  assert.equal((await knowing(LEADER)).nodeRole('gone'), 'removed');
  for (const standing of [FOLLOWER, ALONE])
    assert.equal((await knowing(standing)).nodeRole('gone'), undefined);
});

test('a member without any state takes the word of certificates', () => {
  const store = new LocalStore({ clock: new ManualClock(), ids: new SystemIds() });
  assert.equal(new StoreAuthorizer(store, ALONE).nodeRole('m'), Role.MANAGER);
});

test('a manager that was made while this one was away may bring it up to date', async () => {
  const { MANAGER } = Role;
  for (const path of ['/swarm.v1.Raft/Control', '/swarm.v1.Raft/Append', '/swarm.v1.Raft/Snapshot'])
    for (const nodeId of ['new', 'w']) {
      for (const standing of [ALONE, BEHIND])
        assert.equal(outcome(path, nodeId, MANAGER, await knowing(standing)), 'ok');
      assert.notEqual(outcome(path, nodeId, MANAGER, await knowing(FOLLOWER)), 'ok');
    }
});

test('a manager that hears no leader lets nobody else do more than its rows say', async () => {
  const alone = await knowing(ALONE);
  assert.equal(outcome('/swarm.v1.Raft/Append', 'm', Role.WORKER, alone), 'FORBIDDEN');
  assert.equal(outcome('/swarm.v1.Raft/JoinRaft', 'w', Role.MANAGER, alone), 'FORBIDDEN');
  assert.equal(outcome('/swarm.v1.Control/JoinToken', 'w', Role.MANAGER, alone), 'FORBIDDEN');
  const code = outcome('/swarm.v1.Control/JoinToken', 'new', Role.MANAGER, alone);
  assert.equal(code, 'UNAUTHENTICATED');
});
