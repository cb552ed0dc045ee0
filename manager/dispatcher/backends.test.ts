import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type AssignedTask,
  Liveness,
  Node,
  NodeStatus,
  Service,
  ServiceRevision,
  ServiceState,
  Task,
  TaskState,
  TaskStatus,
} from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { SystemIds } from '../../shared/ids.ts';
import { LocalStore } from '../store/local-store.fixture.ts';
import { revisionKey } from '../store/schema.ts';
import { assignedTask } from './assigned.ts';
import { AssignmentRows } from './assignment-rows.ts';
import { loadBalanced } from './backends.ts';

const SPEC = {
  name: 'web',
  task: { process: { command: ['true'] } },
  endpoint: { ports: [{ target: 80 }] },
};

async function world(): Promise<LocalStore> {
  const store = new LocalStore({ clock: new SystemClock(), ids: new SystemIds() });
  await store.put('service', 'users', Service.create({ id: 's', revision: 1, spec: SPEC }));
  const revision = { id: revisionKey('s', 1), serviceId: 's', revision: 1, spec: SPEC };
  await store.put('serviceRevision', 'users', ServiceRevision.create(revision));
  const ports = [{ target: 80, published: 30000 }];
  await store.put('serviceState', 'loop', ServiceState.create({ id: 's', ports }));
  return store;
}

async function addNode(store: LocalStore, id: string, liveness: Liveness): Promise<void> {
  const row = NodeStatus.create({ id, liveness, publishAddress: `${id}.example` });
  await store.put('nodeStatus', 'status', row);
}

async function addTask(
  store: LocalStore,
  slot: number,
  nodeId: string,
  task: Partial<Task> = {},
  status: Partial<TaskStatus> = {},
): Promise<void> {
  const id = `t${slot}`;
  const state = TaskState.ASSIGNED;
  const row = Task.create({
    id,
    serviceId: 's',
    slot,
    nodeId,
    revision: 1,
    state,
    desiredState: TaskState.RUNNING,
  });
  await store.put('task', 'loop', Task.with(row, task));
  const told = TaskStatus.create({
    id,
    state: TaskState.RUNNING,
    ready: true,
    ports: [{ target: 80, host: '0.0.0.0', port: 20000 + slot }],
  });
  await store.put('taskStatus', 'status', TaskStatus.with(told, status));
}

function shown(store: LocalStore): string[] {
  const backends = loadBalanced(store.view, 's')?.backends ?? [];
  return backends.map(({ taskId, draining, ports }) => {
    const [port] = ports;
    return `${taskId} ${port?.host}:${port?.port}${draining ? ' draining' : ''}`;
  });
}

test('running tasks that are ready are behind the ports, by slot', async () => {
  const store = await world();
  await addNode(store, 'a', Liveness.READY);
  await addNode(store, 'b', Liveness.RESTARTING);
  await addTask(store, 2, 'b');
  await addTask(store, 1, 'a');
  assert.deepEqual(shown(store), ['t1 a.example:20001', 't2 b.example:20002']);
});

test('a new task of a slot goes in with the entry that takes the old one out', async () => {
  const store = await world();
  await addNode(store, 'a', Liveness.READY);
  await addNode(store, 'b', Liveness.READY);
  await addTask(store, 1, 'a', { createdMs: 1 });
  const newer = { id: 'newer', createdMs: 2 };
  await addTask(store, 1, 'b', newer, { id: 'newer' });
  assert.deepEqual(shown(store), ['t1 a.example:20001']);
  await addTask(store, 1, 'a', { createdMs: 1, draining: true });
  assert.deepEqual(shown(store), ['newer b.example:20001', 't1 a.example:20001 draining']);
  await addTask(store, 1, 'a', { createdMs: 1 });
  await addNode(store, 'a', Liveness.SUSPECT);
  assert.deepEqual(shown(store), ['newer b.example:20001', 't1 a.example:20001 draining']);
});

test('a service without published ports has no row', async () => {
  const store = await world();
  await store.put('serviceState', 'loop', ServiceState.create({ id: 's' }));
  assert.equal(loadBalanced(store.view, 's'), undefined);
});

test('a task that is not ready keeps what it has, and nodes the way to it', async () => {
  const store = await world();
  await addNode(store, 'a', Liveness.READY);
  await addTask(store, 1, 'a', {}, { ready: false });
  await addTask(store, 2, 'a');
  assert.deepEqual(shown(store), ['t1 a.example:20001 draining', 't2 a.example:20002']);
});

test('tasks that do not run or are on a node that is down are left out', async () => {
  const store = await world();
  await addNode(store, 'a', Liveness.READY);
  await addNode(store, 'b', Liveness.DOWN);
  await addTask(store, 1, 'a', {}, { state: TaskState.STARTING });
  await addTask(store, 3, 'a', {}, { state: TaskState.FAILED });
  await addTask(store, 4, 'b');
  await addTask(store, 5, 'unknown');
  assert.deepEqual(shown(store), []);
});

test('a task that is drained or ordered to stop keeps only what it has', async () => {
  const store = await world();
  await addNode(store, 'a', Liveness.READY);
  await addTask(store, 1, 'a', { draining: true });
  await addTask(store, 2, 'a', { desiredState: TaskState.SHUTDOWN });
  await addTask(store, 3, 'a');
  assert.deepEqual(shown(store), [
    't1 a.example:20001 draining',
    't2 a.example:20002 draining',
    't3 a.example:20003',
  ]);
});

test('a suspected node gets nothing new while another endpoint is left', async () => {
  const store = await world();
  await addNode(store, 'a', Liveness.SUSPECT);
  await addNode(store, 'b', Liveness.READY);
  await addTask(store, 1, 'a');
  await addTask(store, 2, 'b');
  assert.deepEqual(shown(store), ['t1 a.example:20001 draining', 't2 b.example:20002']);
});

test('the last endpoints stay although their nodes are suspected', async () => {
  const store = await world();
  await addNode(store, 'a', Liveness.SUSPECT);
  await addNode(store, 'b', Liveness.LEAVING);
  await addTask(store, 1, 'a');
  await addTask(store, 2, 'b');
  assert.deepEqual(shown(store), ['t1 a.example:20001', 't2 b.example:20002 draining']);
});

test('what a label that a port is bound to says on each node goes with the row', async () => {
  const store = await world();
  const ports = [{ target: 80, published: 80, bind: 'node.labels.uplink' }];
  await store.put('serviceState', 'loop', ServiceState.create({ id: 's', ports }));
  const labels: readonly [string, Record<string, string>][] = [
    ['b', { uplink: 'eth1', zone: 'x' }],
    ['a', { uplink: '10.0.0.1' }],
    ['c', { zone: 'y' }],
  ];
  for (const [id, of] of labels)
    await store.put('node', 'users', Node.create({ id, name: id, labels: of }));
  assert.deepEqual(
    loadBalanced(store.view, 's')?.nodeLabels.map((one) => `${one.nodeId} ${one.key}=${one.value}`),
    ['a uplink=10.0.0.1', 'b uplink=eth1'],
  );
});

test('a changed label makes the rows anew that are bound to it, and no others', async () => {
  const store = await world();
  const rows = new AssignmentRows();
  for (const _ of rows.rebuild(store.view));
  store.onApplied((entry) => rows.observe(store.view, entry));
  const changed = (): boolean => rows.take(store.view).services.length > 0;
  const relabel = (uplink: string): Promise<unknown> =>
    store.put('node', 'users', Node.create({ id: 'a', name: 'a', labels: { uplink } }));
  changed();
  await relabel('eth1');
  assert.equal(changed(), false);
  const ports = [{ target: 80, published: 80, bind: 'node.labels.uplink' }];
  await store.put('serviceState', 'loop', ServiceState.create({ id: 's', ports }));
  assert.equal(changed(), true);
  await relabel('eth2');
  assert.equal(changed(), true);
});

function assignedTasks(store: LocalStore, nodeId: string): AssignedTask[] {
  const { view } = store;
  return [...view.table('task').by('node', nodeId)].flatMap(
    (task) => assignedTask(view, task) ?? [],
  );
}

test('an assigned task carries its spec and the allocated port', async () => {
  const store = await world();
  await addTask(store, 1, 'a');
  const [task] = assignedTasks(store, 'a');
  assert.equal(task?.serviceName, 'web');
  assert.deepEqual(task?.spec?.process?.command, ['true']);
  assert.equal(task?.ports[0]?.published, 30000);
  assert.equal(task?.index, store.view.table('task').get('t1')?.version);
  assert.deepEqual(assignedTasks(store, 'b'), []);
});

test('a global task that the scheduler holds back is not sent to its node', async () => {
  const store = await world();
  await addTask(store, 0, 'a', { state: TaskState.PENDING });
  assert.deepEqual(assignedTasks(store, 'a'), []);
});
