import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Liveness,
  Ref,
  RolloutState,
  ScaleServiceRequest,
  type ServiceProgress,
  ServiceSpec,
  TaskSpec,
  TaskState,
  TaskStatus,
  UpdateServiceRequest,
  WatchServiceRequest,
} from '../../proto/index.ts';
import { context, Fixture } from './control.fixture.ts';
import { progressOf } from './progress.ts';

const AT_ONCE = { version: 0, settleMs: 0, nowMs: 0 };
const nothing = { transientStatus: () => undefined, settledIndex: () => undefined };

function progress(at: Fixture, id: string, version = 0, settleMs = 0): ServiceProgress {
  const { view } = at.store;
  const awaited = { version, settleMs, nowMs: at.store.nowMs() };
  return progressOf(view, view.table('service').get(id)!, awaited, nothing);
}

test('a service has converged when every replica runs and is ready', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({ replicas: 2 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  await at.running(id, 't1', 1);
  assert.equal(progress(at, id).converged, false);
  await at.task({ id: 't2', serviceId: id, slot: 2, nodeId: 'n1' }, { state: TaskState.RUNNING });
  assert.equal(progress(at, id).converged, false, 'not ready');
  await at.status({ id: 't2', state: TaskState.RUNNING, ready: true });
  assert.equal(progress(at, id).converged, true);
});

test('what ran before a change counts for nothing until the loop has seen the change', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 1 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  await at.running(id, 't1', 1);
  const scale = ScaleServiceRequest.create({ ref: id, replicas: 1 });
  assert.equal(
    progress(at, id, (await at.control.scaleService(scale, context())).service!.version).converged,
    true,
  );
  await at.control.scaleService(ScaleServiceRequest.create({ ref: id, replicas: 0 }), context());
  assert.equal(progress(at, id).converged, false);
});

test('a task of another revision that needs no restart counts, one that needs it does not', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 1 });
  await at.running(id, 't1', 1);
  await at.control.scaleService(ScaleServiceRequest.create({ ref: id, replicas: 2 }), context());
  await at.state({ id, seenRevision: 2, runningRevision: 2 });
  await at.task(
    { id: 't2', serviceId: id, slot: 2, nodeId: 'n1', revision: 2 },
    { state: TaskState.RUNNING, ready: true },
  );
  assert.equal(progress(at, id).converged, true);
  const { spec } = at.store.view.table('service').get(id)!;
  const forced = ServiceSpec.with(spec!, { task: TaskSpec.with(spec!.task!, { forceUpdate: 1 }) });
  const request = UpdateServiceRequest.with(UpdateServiceRequest.create({ ref: id }), {
    spec: forced,
  });
  await at.control.updateService(request, context());
  await at.state({ id, seenRevision: 3, runningRevision: 3 });
  assert.equal(progress(at, id).converged, false);
});

test('old tasks that still run keep a service from having converged', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 1 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  await at.running(id, 't2', 1);
  await at.task(
    { id: 't1', serviceId: id, slot: 2, nodeId: 'n1', desiredState: TaskState.REMOVE },
    { state: TaskState.RUNNING, ready: true },
  );
  assert.equal(progress(at, id).converged, false);
});

for (const [state, text] of [
  [RolloutState.PAUSED, 'the update is paused: a task failed'],
  [RolloutState.ROLLBACK_PAUSED, 'the rollback is paused: a task failed'],
  [RolloutState.ROLLBACK_COMPLETED, 'the update failed and was rolled back: a task failed'],
] as const)
  test(`waiting is useless when ${text}`, async () => {
    const at = new Fixture();
    const id = await at.create({ replicas: 1 });
    const rollout = { state, message: 'a task failed' };
    await at.state({ id, seenRevision: 1, runningRevision: 7, rollout });
    await at.running(id, 't1', 1);
    const { failed, converged, message } = progress(at, id);
    assert.deepEqual([failed, converged, message], [true, false, text]);
  });

test('a rollback that the user asked for ends well', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 1 });
  const rollout = { state: RolloutState.ROLLBACK_COMPLETED };
  await at.state({ id, seenRevision: 1, runningRevision: 1, rollout });
  await at.running(id, 't1', 1);
  const { failed, converged } = progress(at, id);
  assert.deepEqual([failed, converged], [false, true]);
});

test('waiting is useless when restarts are used up', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 1 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  const endReason = 'exited with code 1; its 3 restarts are used up';
  await at.task(
    { id: 't1', serviceId: id, nodeId: 'n1', desiredState: TaskState.SHUTDOWN, endReason },
    { state: TaskState.FAILED, exitCode: 1 },
  );
  const { failed, message } = progress(at, id);
  assert.deepEqual([failed, message], [true, `task t1 ${endReason}`]);
});

test('waiting is useless when each missing task was refused by every node that fits', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 2 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  const pendingReason = 'refused-everywhere|every node that fits has refused it: no such command';
  await at.task({ id: 't1', serviceId: id, slot: 1, state: TaskState.PENDING, pendingReason });
  await at.task({ id: 't2', serviceId: id, slot: 2, nodeId: 'n1' }, { state: TaskState.ASSIGNED });
  assert.equal(progress(at, id).failed, false, 'the other one may still run');
  await at.running(id, 't2', 2);
  const { failed, message } = progress(at, id);
  assert.equal(failed, true);
  assert.match(message, /every node that fits has refused it: no such command/);
});

test('a port is published while one ready node listens on it, and each failure names its node', async () => {
  const at = new Fixture();
  await at.node('n1', {}, { listenFailures: [{ port: 8080, reason: 'nginx has it' }] });
  const ports = [{ target: 80, published: 8080 }];
  const id = await at.create({ endpoint: { ports } });
  await at.state({ id, ports });
  const alone = progress(at, id);
  assert.equal(alone.published, false);
  assert.deepEqual(
    alone.listenFailures.map((failure) => failure.reason),
    ['n1: nginx has it'],
  );
  const { service } = await at.control.getService(Ref.create({ ref: id }), context());
  assert.deepEqual(service!.warnings, ['port 8080: n1: nginx has it']);
  await at.node('n2');
  assert.equal(progress(at, id).published, true);
});

test('a ready node whose load balancing is older than the tasks is behind', async () => {
  const at = new Fixture();
  for (const name of ['n1', 'n2']) await at.node(name);
  const id = await at.create({
    replicas: 1,
    endpoint: { ports: [{ target: 80, published: 8080 }] },
  });
  const { view } = at.store;
  await at.state({
    id,
    seenRevision: 1,
    runningRevision: 1,
    ports: [{ target: 80, published: 8080 }],
  });
  const settled = view.table('serviceState').get(id)!.version;
  await at.running(id, 't1', 1);
  const behind = (index: number | undefined) =>
    progressOf(view, view.table('service').get(id)!, AT_ONCE, {
      transientStatus: () => undefined,
      settledIndex: (nodeId) => (nodeId === 'n1' ? view.index : index),
    }).behind;
  assert.deepEqual(behind(settled), ['n2']);
  assert.deepEqual(behind(undefined), ['n2'], 'it has no session');
  assert.deepEqual(behind(view.index), []);
});

test('a node that has just fallen silent is behind as well: it may still listen', async () => {
  const at = new Fixture();
  await at.node('n1', {}, { liveness: Liveness.SUSPECT });
  await at.node('n2', {}, { liveness: Liveness.DOWN });
  const ports = [{ target: 80, published: 8080 }];
  const id = await at.create({ endpoint: { ports } });
  await at.state({ id, ports });
  assert.deepEqual(progress(at, id).behind, ['n1']);
});

test('a task counts when it has been up for as long as was asked', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({ replicas: 1 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  at.clock.advance(5_000);
  const runningSinceMs = at.store.nowMs();
  const up = { state: TaskState.RUNNING, ready: true, runningSinceMs };
  await at.task({ id: 't1', serviceId: id, slot: 1, nodeId: 'n1' }, up);
  const before = progress(at, id, 0, 2_000);
  assert.deepEqual([before.converged, before.settleLeftMs], [false, 2_000]);
  assert.equal(progress(at, id).converged, true, 'nobody asked for more');
  at.clock.advance(2_000);
  const after = progress(at, id, 0, 2_000);
  assert.deepEqual([after.converged, after.settleLeftMs], [true, 0]);
});

test('a task that passes a check of its own has shown that it works', async () => {
  const at = new Fixture();
  await at.node('n1');
  const task = { process: { command: ['hello'] }, ready: { tcp: ':80' } };
  const id = await at.create({ replicas: 1, task });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  const up = { state: TaskState.RUNNING, ready: true, runningSinceMs: at.store.nowMs() };
  await at.task({ id: 't1', serviceId: id, slot: 1, nodeId: 'n1' }, up);
  assert.equal(progress(at, id, 0, 2_000).converged, true);
});

test('tasks that ended by themselves are told with the slot, refused ones are not', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({ replicas: 1 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  const over = { serviceId: id, slot: 1, nodeId: 'n1', desiredState: TaskState.SHUTDOWN };
  await at.task({ id: 't1', ...over }, { state: TaskState.REJECTED, err: 'no such command' });
  await at.task({ id: 't2', ...over }, { state: TaskState.FAILED, err: 'exit code 3' });
  await at.task({ id: 't3', ...over }, { state: TaskState.FAILED, lost: true });
  await at.running(id, 't4', 1);
  const { ended } = progress(at, id).tasks.find((task) => task.id === 't4')!;
  assert.deepEqual(
    ended.map((each) => [each.id, each.message]),
    [['t2', 'exit code 3']],
  );
});

test('a service without ports counts as published', async () => {
  const at = new Fixture();
  assert.equal(progress(at, await at.create({})).published, true);
});

/** The next item, whose spacing of 50 ms is over as soon as the watch waits for it. */
async function nextAfter<T>(at: Fixture, items: AsyncIterator<T>): Promise<IteratorResult<T>> {
  const next = items.next();
  await new Promise(setImmediate);
  at.clock.advance(50);
  return next;
}

test('a watch is pushed at changes, several at once as one, and ends with the service', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 1 });
  const watch = at.control.watchService(WatchServiceRequest.create({ id }), context());
  const items = watch[Symbol.asyncIterator]();
  assert.equal((await items.next()).value.converged, false);
  await at.running(id, 't1', 1);
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  assert.equal((await nextAfter(at, items)).value.converged, true);
  await at.control.removeService(Ref.create({ ref: id }), context());
  assert.equal((await nextAfter(at, items)).value.removed, false);
  await at.store.update((draft) => draft.delete('service', id), { writer: 'loop' });
  assert.equal((await nextAfter(at, items)).value.removed, true);
  assert.equal((await items.next()).done, true);
});

test('a change that shows nothing new is not pushed', async () => {
  const at = new Fixture();
  await at.node('n1');
  const id = await at.create({});
  const watch = at.control.watchService(WatchServiceRequest.create({ id }), context());
  const items = watch[Symbol.asyncIterator]();
  await items.next();
  let pushed = false;
  const next = items.next().then((item) => {
    pushed = true;
    return item;
  });
  await at.node('n1');
  await new Promise(setImmediate);
  at.clock.advance(50);
  await new Promise(setImmediate);
  assert.equal(pushed, false);
  await at.running(id, 't1', 1);
  await new Promise(setImmediate);
  at.clock.advance(50);
  assert.equal((await next).value.tasks.length, 1);
});

test('time alone makes a service converge whose tasks have only to stay up', async () => {
  const at = new Fixture();
  const id = await at.create({ replicas: 1 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  const up = { state: TaskState.RUNNING, ready: true, runningSinceMs: at.store.nowMs() + 1 };
  await at.task({ id: 't1', serviceId: id, slot: 1, nodeId: 'n1' }, up);
  const request = WatchServiceRequest.create({ id, settleMs: 1_000 });
  const items = at.control.watchService(request, context())[Symbol.asyncIterator]();
  assert.equal((await items.next()).value.converged, false);
  const next = items.next();
  await new Promise(setImmediate);
  at.clock.advance(1_001);
  assert.equal((await next).value.converged, true);
});

test('what settles while the caller is busy with the last item is not missed', async () => {
  const at = new Fixture();
  await at.node('n1');
  const ports = [{ target: 80, published: 8080 }];
  const id = await at.create({ endpoint: { ports } });
  await at.state({ id, ports });
  at.behind.add('n1');
  const items = at.control
    .watchService(WatchServiceRequest.create({ id }), context())
    [Symbol.asyncIterator]();
  assert.deepEqual((await items.next()).value.behind, ['n1']);
  at.behind.delete('n1');
  at.settle();
  assert.deepEqual((await nextAfter(at, items)).value.behind, []);
});

test('a watch ends when its caller goes away', async () => {
  const at = new Fixture();
  const id = await at.create({});
  const abort = new AbortController();
  const watch = at.control.watchService(
    WatchServiceRequest.create({ id }),
    context({ signal: abort.signal }),
  );
  const items = watch[Symbol.asyncIterator]();
  await items.next();
  const next = items.next();
  abort.abort();
  assert.equal((await next).done, true);
});

test('a task that its agent only told of is shown with that state', async () => {
  const at = new Fixture();
  const id = await at.create({});
  await at.task({ id: 't1', serviceId: id, nodeId: 'n1' });
  at.transient.set('t1', TaskStatus.create({ id: 't1', state: TaskState.PREPARING }));
  const { task } = await at.control.getTask(Ref.create({ ref: 'web.1' }), context());
  assert.equal(task!.state, TaskState.PREPARING);
});

test('a task that was replaced on a node nobody hears is not waited for', async () => {
  const at = new Fixture();
  await at.node('n1');
  await at.node('n2', {}, { liveness: Liveness.DOWN });
  const id = await at.create({ replicas: 1 });
  await at.state({ id, seenRevision: 1, runningRevision: 1 });
  const lost = { id: 't0', serviceId: id, slot: 1, nodeId: 'n2', desiredState: TaskState.SHUTDOWN };
  await at.task(lost, { state: TaskState.RUNNING, ready: true });
  await at.running(id, 't1', 1);
  assert.equal(progress(at, id).converged, true);
});
