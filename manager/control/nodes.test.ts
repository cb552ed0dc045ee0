import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Availability,
  Empty,
  JoinTokenRequest,
  ListRequest,
  Liveness,
  RemoveNodeRequest,
  Role,
  UpdateClusterRequest,
  UpdateNodeRequest,
} from '../../proto/index.ts';
import { context, Fixture } from './control.fixture.ts';

const demote = (ref: string) => UpdateNodeRequest.create({ ref, role: Role.WORKER, hasRole: true });
const remove = (ref: string, force = false) => RemoveNodeRequest.create({ ref, force });

test('labels are added and taken away, availability is set, one event says it', async () => {
  const at = new Fixture();
  await at.node('n1', { labels: { a: '1', b: '2' } });
  const request = UpdateNodeRequest.create({
    ref: 'self',
    labelAdd: { c: '3' },
    labelRm: ['a'],
    availability: Availability.DRAIN,
    hasAvailability: true,
  });
  const { node } = await at.control.updateNode(request, context());
  assert.deepEqual({ ...node!.labels }, { b: '2', c: '3' });
  assert.equal(node!.availability, Availability.DRAIN);
  const events = [...at.store.view.table('event').all()].flatMap((row) => row.events);
  assert.equal(events.at(-1)!.message, 'labels a, c; availability drain');
});

test('a runtime is chosen among those that the node has, and taken back', async () => {
  const at = new Fixture();
  await at.node('n1');
  const choose = (runtime: string) =>
    at.control.updateNode(
      UpdateNodeRequest.create({ ref: 'n1', runtime, hasRuntime: true }),
      context(),
    );
  await assert.rejects(choose('containerd'), {
    code: 'PRECONDITION',
    message: 'n1 has no runtime containerd (it has: process)',
  });
  await assert.rejects(choose('docker'), {
    code: 'INVALID_SPEC',
    message: /"docker" is no runtime/,
  });
  assert.equal((await choose('process')).node!.runtime, 'process');
  const labels = UpdateNodeRequest.create({ ref: 'n1', labelAdd: { a: '1' } });
  assert.equal((await at.control.updateNode(labels, context())).node!.runtime, 'process');
  assert.equal((await choose('')).node!.runtime, '');
  const events = [...at.store.view.table('event').all()].flatMap((row) => row.events);
  const said = events.map(({ message }) => message).filter((message) => message !== '');
  assert.deepEqual(said, ['runtime process', 'labels a', 'runtime any']);
});

test('taking away a label that is not there is refused', async () => {
  const at = new Fixture();
  await at.node('n1');
  const request = UpdateNodeRequest.create({ ref: 'n1', labelRm: ['x'] });
  await assert.rejects(at.control.updateNode(request, context()), { code: 'INVALID_SPEC' });
});

test('the last manager cannot be demoted', async () => {
  const at = new Fixture();
  await at.voter('n1', 1);
  await assert.rejects(at.control.updateNode(demote('n1'), context()), {
    code: 'PRECONDITION',
    message: 'n1 is the last manager',
  });
});

test('a demotion that would cost the quorum names who is missing', async () => {
  const at = new Fixture();
  await at.voter('n1', 1);
  await at.voter('n2', 2);
  await at.voter('n3', 3, false);
  await assert.rejects(at.control.updateNode(demote('n2'), context()), {
    code: 'PRECONDITION',
    message: /without n2 the cluster would lose its quorum: 2 of 2 .* and n3 does not/,
  });
});

test('the manager that is lost can be demoted', async () => {
  const at = new Fixture();
  await at.voter('n1', 1);
  await at.voter('n2', 2);
  await at.voter('n3', 3, false);
  const { node } = await at.control.updateNode(demote('n3'), context());
  assert.equal(node!.role, Role.WORKER);
});

test('a manager is removed only after its demotion was carried out', async () => {
  const at = new Fixture();
  await at.voter('n1', 1);
  await at.voter('n2', 2);
  await assert.rejects(at.control.removeNode(remove('n2', true), context()), {
    command: 'swarm node demote n2',
  });
  await at.control.updateNode(demote('n2'), context());
  await assert.rejects(at.control.removeNode(remove('n2', true), context()), {
    code: 'PRECONDITION',
    command: 'swarm node ls',
  });
});

test('a node that is up is removed by force only, one that is down at once, with its rows', async () => {
  const at = new Fixture();
  await at.node('n1');
  await at.node('n2', {}, { liveness: Liveness.DOWN });
  await assert.rejects(at.control.removeNode(remove('n1'), context()), { code: 'PRECONDITION' });
  await at.control.removeNode(remove('n1', true), context());
  await at.control.removeNode(remove('n2'), context());
  assert.equal(at.store.view.table('node').size, 0);
  assert.equal(at.store.view.table('nodeStatus').size, 0);
});

test('an even number of managers and a silent one are warned of', async () => {
  const at = new Fixture();
  await at.voter('n1', 1);
  await at.voter('n2', 2, false);
  const { nodes, warnings } = await at.control.listNodes(ListRequest.create(), context());
  assert.equal(warnings.length, 2);
  assert.match(warnings[1]!, /do not answer: n2/);
  assert.deepEqual(
    nodes.map((row) => [row.node!.name, row.leader, row.reachable, row.self]),
    [
      ['n1', true, true, true],
      ['n2', false, false, false],
    ],
  );
});

test('nodes are filtered by role and label', async () => {
  const at = new Fixture();
  await at.voter('n1', 1);
  await at.node('n2', { labels: { disk: 'ssd' } });
  const names = async (key: string, value: string) => {
    const request = ListRequest.create({ filters: [{ key, value }] });
    const { nodes } = await at.control.listNodes(request, context());
    return nodes.map((row) => row.node!.name).join(',');
  };
  assert.equal(await names('role', 'worker'), 'n2');
  assert.equal(await names('node.label', 'disk=ssd'), 'n2');
  assert.equal(await names('membership', 'accepted'), 'n1,n2');
  await assert.rejects(names('role', 'boss'), { message: /none of worker, manager/ });
});

test('only the named settings of the cluster are changed', async () => {
  const at = new Fixture();
  await at.cluster();
  const request = UpdateClusterRequest.create({
    spec: { taskHistoryLimit: 9, nodeGraceMs: 1 },
    fields: ['taskHistoryLimit'],
  });
  const { cluster } = await at.control.updateCluster(request, context());
  assert.deepEqual([cluster!.spec!.taskHistoryLimit, cluster!.spec!.nodeGraceMs], [9, 4_000]);
});

test('a setting out of its range names what is allowed', async () => {
  const at = new Fixture();
  await at.cluster();
  const request = UpdateClusterRequest.create({ spec: { nodeGraceMs: 1 }, fields: ['node-grace'] });
  await assert.rejects(at.control.updateCluster(request, context()), {
    code: 'INVALID_SPEC',
    message: 'node_grace_ms: 1 ms is out of range',
  });
});

test('a join token comes with the managers to join, a rotated one is new', async () => {
  const at = new Fixture();
  await at.voter('n1', 1);
  const get = JoinTokenRequest.create({ role: Role.WORKER });
  const rotate = JoinTokenRequest.create({ role: Role.MANAGER, rotate: true });
  const { token, managers } = await at.control.joinToken(get, context());
  assert.deepEqual([token, managers], ['token-0-0', ['n1:2377']]);
  const rotated = await at.control.joinToken(rotate, context({ requestId: 'r1' }));
  assert.equal(rotated.token, 'token-1-1');
  assert.deepEqual(at.rotations, ['r1'], 'retried, it is done once');
});

test('the cluster shows the digest that its tokens carry', async () => {
  const at = new Fixture();
  await at.cluster();
  await at.voter('n1', 1);
  const view = await at.control.getCluster(Empty.create(), context());
  assert.deepEqual([view.rootDigest, view.managers, view.nodes], ['digest', 1, 1]);
});
