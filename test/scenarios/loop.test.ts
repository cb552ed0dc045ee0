import assert from 'node:assert/strict';
import { test } from 'node:test';
import { explain } from '../../manager/loop/explain.ts';
import { Loop } from '../../manager/loop/loop.ts';
import { NodeIndex } from '../../manager/loop/node-index.ts';
import { Specs } from '../../manager/loop/specs.ts';
import { revisionKey } from '../../manager/store/schema.ts';
import { Service, ServiceRevision, ServiceSpec, TaskState, TaskStatus } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import { silentLog } from '../../shared/log.ts';
import { defaultSpec, withWords } from './spec-words.ts';
import { World } from './world.ts';

async function aWorld(nodes: number): Promise<World> {
  const world = new World();
  for (let n = 1; n <= nodes; n++) await world.addNode(`n${n}`);
  return world;
}
const spec = (name: string, ...words: string[]) => withWords(defaultSpec(name), words);
const tasksOf = (world: World, name: string) => [
  ...world.view.table('task').by('service', world.service(name).id),
];

test('a new service goes from nothing to ASSIGNED in one entry', async () => {
  const world = await aWorld(2);
  const before = world.view.index;
  await world.createService(spec('web', 'replicas=4'));
  const tasks = tasksOf(world, 'web');
  assert.equal(tasks.length, 4);
  assert.ok(tasks.every((task) => task.state === TaskState.ASSIGNED && task.nodeId !== ''));
  assert.equal(world.view.index, before + 2);
  world.stop();
});

test('nothing is written and no timer runs while there is nothing to do', async () => {
  const world = await aWorld(2);
  await world.createService(spec('web', 'replicas=4'));
  await world.agents();
  const before = world.view.index;
  await world.advance(3_600_000);
  assert.equal(world.view.index, before);
  assert.equal(world.clock.nextDueMs(), undefined);
  world.stop();
});

test('a network whose subnets make no sense waits; the others go on', async () => {
  const world = await aWorld(1);
  // Such a row cannot come from control/: it stands for a bug of ours.
  const id = await world.createNetwork({ name: 'bad', subnets: [{ cidr: 'nonsense' }] });
  assert.match(world.view.table('networkState').get(id)?.problem ?? '', /cannot be made out/);
  const good = await world.createNetwork({ name: 'good' });
  assert.equal(world.view.table('networkState').get(good)?.index, 1);
  world.stop();
});

test('a service whose handling throws is quarantined; the others go on', async () => {
  const world = await aWorld(1);
  // A service without a task spec cannot come from control/: it stands for a bug of ours.
  const broken = Service.create({ id: 'broken', spec: { name: 'broken' }, revision: 1 });
  const good = Service.create({ id: 'good', spec: spec('good'), revision: 1 });
  await world.store.put('service', 'users', broken, good);
  await world.settle();
  const state = world.view.table('serviceState').get('broken');
  assert.match(state?.quarantine ?? '', /no task spec/);
  assert.equal(tasksOf(world, 'good').length, 1);
  const index = world.view.index;
  await world.advance(60_000);
  assert.equal(world.view.index, index);

  const mended = Service.with(broken, { spec: ServiceSpec.create(spec('broken')), revision: 2 });
  await world.store.put('service', 'users', mended);
  await world.settle();
  assert.equal(world.view.table('serviceState').get('broken')?.quarantine, '');
  assert.equal(tasksOf(world, 'broken').length, 1);
  world.stop();
});

test('a service of many replicas takes several entries, each within its limit', async () => {
  const world = await aWorld(3);
  const sizes: number[] = [];
  world.store.onApplied((entry) => {
    sizes.push(entry.changes.filter((change) => change.table === 'task').length);
  });
  await world.createService(spec('web', 'replicas=9000'));
  const tasks = tasksOf(world, 'web');
  assert.equal(tasks.length, 9_000);
  assert.ok(tasks.every((task) => task.state === TaskState.ASSIGNED));
  assert.equal(new Set(tasks.map((task) => task.slot)).size, 9_000);
  assert.ok(sizes.filter((size) => size > 0).length >= 3);
  assert.ok(Math.max(...sizes) * 60 < LIMITS.entryBytesMax);
  world.stop();
});

test('a turn that the store drops is done again', async () => {
  const world = await aWorld(1);
  const real = world.store.update.bind(world.store);
  let refused = 0;
  world.store.update = (fn, options) => {
    if (options.writer !== 'loop' || refused++ > 0) return real(fn, options);
    return Promise.reject(new Error('no quorum'));
  };
  await world.createService(spec('web'));
  await world.advance(1_000);
  assert.equal(refused, 2);
  assert.equal(tasksOf(world, 'web').length, 1);
  world.stop();
});

test('tasks of a service whose rows are gone are ended and deleted', async () => {
  const world = await aWorld(1);
  const id = await world.createService(spec('web', 'replicas=2'));
  await world.agents();
  await world.store.update((draft) => draft.delete('service', id), { writer: 'loop' });
  await world.settle();
  await world.agents();
  assert.equal(world.view.table('task').size, 0);
  assert.equal(world.view.table('serviceState').size, 0);
  world.stop();
});

test('a revision that is no longer kept does not stop its tasks from being replaced', async () => {
  const world = await aWorld(2);
  const id = await world.createService(spec('web', 'replicas=2'));
  await world.agents();
  await world.updateService('web', spec('web', 'replicas=2', 'label=x'));
  await world.store.update((draft) => draft.delete('serviceRevision', revisionKey(id, 1)), {
    writer: 'loop',
  });
  const [task] = tasksOf(world, 'web');
  await world.report(task!, { state: TaskState.FAILED, exitCode: 1, lost: true });
  await world.agents();
  const running = tasksOf(world, 'web').filter((t) => t.desiredState === TaskState.RUNNING);
  assert.equal(running.length, 2);
  world.stop();
});

test('work after a restart of the loop in the middle of a turn is the same', async () => {
  const world = await aWorld(1);
  const service = Service.create({ id: 'web', spec: spec('web', 'replicas=3'), revision: 1 });
  const written = world.store.put('service', 'users', service);
  const changed = world.changeLeader();
  await Promise.all([written, changed]);
  await world.store.put(
    'serviceRevision',
    'users',
    ServiceRevision.create({
      id: revisionKey('web', 1),
      serviceId: 'web',
      revision: 1,
      spec: service.spec,
    }),
  );
  await world.settle();
  assert.equal(tasksOf(world, 'web').length, 3);
  world.stop();
});

/** Every look at it takes a while: turns run out of time. */
class SlowClock extends ManualClock {
  #lateMs = 0;
  override monotonicMs(): number {
    this.#lateMs += 2;
    return super.monotonicMs() + this.#lateMs;
  }
}

test('turns that run out of time leave the rest to the next, and nothing is forgotten', async () => {
  const world = new World(1, new SlowClock());
  for (let n = 1; n <= 3; n++) await world.addNode(`n${n}`);
  for (let n = 0; n < 60; n++)
    await world.createService(spec(`s${n}`, 'replicas=30', 'constraint=node.labels.zone==a'));
  const waiting = () =>
    [...world.view.table('task').all()].filter((task) => task.state < TaskState.ASSIGNED).length;
  assert.equal(waiting(), 1_800);
  const before = world.turns;
  await world.addNode('n4', { zone: 'a' });
  assert.equal(waiting(), 0);
  assert.ok(world.turns - before > 3, `${world.turns - before} turns`);
  world.stop();
});

/** While it is busy, 4 ms go by between any two looks at it. */
class BusyClock extends ManualClock {
  isBusy = false;
  #spentMs = 0;

  override monotonicMs(): number {
    if (this.isBusy) this.#spentMs += 4;
    return super.monotonicMs() + this.#spentMs;
  }
}

test('a new leader looks at many rows in slices, and misses nothing that is applied meanwhile', async () => {
  const clock = new BusyClock();
  const world = new World(1, clock);
  for (const node of ['n1', 'n2', 'n3']) await world.addNode(node);
  await world.createService(spec('web', 'replicas=1500'));
  await world.agents();
  world.stop();
  const tasks = tasksOf(world, 'web');
  const [seen, unseen] = [tasks[0]!, tasks.at(-1)!];

  clock.isBusy = true;
  const loop = new Loop({ store: world.store, clock, log: silentLog });
  loop.start(2);
  assert.equal(loop.nodeIndex, undefined, 'it has not seen everything');
  const failed = [seen, unseen].map(({ id }) => {
    const row = world.view.table('taskStatus').get(id)!;
    return TaskStatus.with(row, { state: TaskState.FAILED, ready: false });
  });
  await world.store.put('taskStatus', 'status', ...failed);
  assert.equal(loop.nodeIndex, undefined, 'nor does it act before it has');
  clock.advance(0);
  clock.isBusy = false;

  assert.deepEqual(loop.derivedDifferences(), []);
  const fresh = explain(world.view, seen.id);
  assert.deepEqual(explain(world.view, seen.id, loop.nodeIndex), fresh);
  const loads = (index: NodeIndex | undefined) => index?.records.map((record) => record.tasks);
  assert.deepEqual(loads(loop.nodeIndex), loads(NodeIndex.of(world.view, new Specs())));
  while (!loop.isIdle) await new Promise((resolve) => setImmediate(resolve));
  const after = tasksOf(world, 'web');
  const slots = new Set(after.map((task) => task.slot));
  assert.equal(after.length, 1502, 'both were replaced');
  assert.equal(slots.size, 1500);
  loop.stop();
});
