import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { slotKey } from '../../manager/store/schema.ts';
import {
  Availability,
  Liveness,
  PublishMode,
  type Task,
  TaskState,
  UpdateOrder,
} from '../../proto/index.ts';
import { defaultSpec, withWords } from './spec-words.ts';
import { World } from './world.ts';

const NAMES = ['a', 'b', 'c'] as const;
const NODES = ['n1', 'n2', 'n3', 'n4'] as const;
const CPUS = 2;

const name = fc.constantFrom(...NAMES);
const node = fc.constantFrom(...NODES);
const word = fc.constantFrom(
  'env=v1',
  'env=v2',
  'env=v3',
  'replicas=0',
  'replicas=2',
  'replicas=5',
  'update-order=start-first',
  'update-order=stop-first',
  'update-action=rollback',
  'update-action=continue',
  'update-parallelism=2',
  'update-delay=3s',
  'restart-delay=0ms',
  'restart-max-attempts=2',
  'reserve-cpu=1',
  'constraint=node.hostname!=n2',
  'constraint=',
  'port=:80',
  'port=8080:80',
  'port=7000:80@host',
  'ready=/ok',
  'max-per-node=1',
);
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wish' as const),
      name,
      words: fc.array(word, { maxLength: 4 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('global' as const), name }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('remove' as const), name }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('availability' as const),
      node,
      to: fc.constantFrom(0, 1, 2),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('liveness' as const),
      node,
      to: fc.constantFrom(1, 2, 3, 4, 5),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('crash' as const),
      pick: fc.nat(50),
      how: fc.constantFrom(576, 704, 768),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('agents' as const), healthy: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 500, 1_000, 5_000, 70_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('ack' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leader' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

test('whatever happens, in every entry: slots, ports and reservations hold; in the end it converges', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
      async (steps) => {
        const world = new World();
        const errors: string[] = [];
        world.store.onApplied(() => errors.push(...violations(world)));
        for (const id of NODES)
          await world.addNode(id, {}, { nanoCpus: CPUS * 1e9, memoryBytes: 2 ** 32 });
        for (const one of steps) {
          await play(world, one);
          assert.deepEqual(errors, []);
        }
        await heal(world);
        assert.deepEqual(errors, []);
        assertConverged(world);
        world.stop();
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 150), includeErrorInReport: true },
  );
});

async function play(world: World, one: Step): Promise<void> {
  switch (one.do) {
    case 'wish':
      return wish(world, one.name, one.words);
    case 'global':
      if (!exists(world, one.name)) await wish(world, one.name, ['mode=global']);
      return;
    case 'remove':
      if (exists(world, one.name)) await world.removeService(one.name);
      return;
    case 'availability':
      return world.changeNode(one.node, { availability: one.to as Availability });
    case 'liveness':
      return world.liveness([one.node], one.to as Liveness);
    case 'crash':
      return crash(world, one.pick, one.how as TaskState);
    case 'agents':
      await world.agents(
        (task) =>
          one.healthy || task.revision % 2 === 0 ? true : { state: TaskState.FAILED, exitCode: 1 },
        3,
      );
      return;
    case 'advance':
      return world.advance(one.ms);
    case 'ack':
      world.acknowledgeDrains();
      return world.settle();
    case 'leader':
      return world.changeLeader();
  }
}

const specs = new WeakMap<World, Map<string, ReturnType<typeof defaultSpec>>>();

function exists(world: World, service: string): boolean {
  const [row] = world.view.table('service').by('name', service);
  return row !== undefined && !row.removing;
}

async function wish(world: World, service: string, words: readonly string[]): Promise<void> {
  const known = specs.get(world) ?? new Map();
  specs.set(world, known);
  const [row] = world.view.table('service').by('name', service);
  if (row?.removing) return;
  const base = withWords(defaultSpec(service), ['reserve-cpu=1']);
  const spec = withWords(row === undefined ? base : known.get(service), words);
  known.set(service, spec);
  if (row === undefined) await world.createService(spec);
  else await world.updateService(service, spec);
}

async function crash(world: World, pick: number, state: TaskState): Promise<void> {
  const running = [...world.view.table('task').all()].filter(
    (task) => world.view.table('taskStatus').get(task.id)?.state === TaskState.RUNNING,
  );
  const task = running[pick % Math.max(1, running.length)];
  if (task !== undefined) await world.report(task, { state, exitCode: 1 });
}

/** All nodes come back, all tasks run well, and what is stuck is wished once more. */
async function heal(world: World): Promise<void> {
  for (const id of NODES) {
    await world.changeNode(id, { availability: Availability.ACTIVE });
    await world.liveness([id], Liveness.READY);
  }
  await world.agents();
  for (const service of NAMES)
    if (exists(world, service))
      await wish(world, service, [
        'force=99',
        'env=healed',
        'constraint=',
        'port=:80',
        'reserve-cpu=0',
        'max-per-node=0',
      ]);
  await world.advance(600_000, async () => void (await world.agents()));
}

/** What must hold after every entry. */
function violations(world: World): string[] {
  const out: string[] = [];
  const { view } = world;
  const wanted = new Map<string, Task[]>();
  const used = new Map<string, number>();
  for (const task of view.table('task').all()) {
    const status = view.table('taskStatus').get(task.id);
    if (task.desiredState === TaskState.RUNNING && !task.draining)
      wanted.set(slotKey(task), [...(wanted.get(slotKey(task)) ?? []), task]);
    const ended = (status?.state ?? 0) >= TaskState.COMPLETE || task.state === TaskState.ORPHANED;
    if (task.state !== TaskState.ASSIGNED || ended) continue;
    const revision = [...view.table('serviceRevision').by('service', task.serviceId)].find(
      (row) => row.revision === task.revision,
    );
    const cpus = (revision?.spec?.task?.reservations?.nanoCpus ?? 0) / 1e9;
    used.set(task.nodeId, (used.get(task.nodeId) ?? 0) + cpus);
  }
  for (const [key, tasks] of wanted) {
    const startFirst = [...view.table('serviceRevision').by('service', tasks[0]!.serviceId)].some(
      (row) => row.spec?.update?.order === UpdateOrder.START_FIRST,
    );
    if (tasks.length > (startFirst ? 2 : 1)) out.push(`slot ${key} has ${tasks.length} tasks`);
  }
  for (const [id, cpus] of used) if (cpus > CPUS) out.push(`node ${id} has ${cpus} CPUs reserved`);
  return [...out, ...doublePorts(world)];
}

function doublePorts(world: World): string[] {
  const owners = new Map<number, string>();
  const out: string[] = [];
  for (const state of world.view.table('serviceState').all())
    for (const port of state.ports) {
      if (port.mode !== PublishMode.INGRESS) continue;
      const owner = owners.get(port.published);
      if (owner !== undefined)
        out.push(`port ${port.published} belongs to ${owner} and ${state.id}`);
      owners.set(port.published, state.id);
    }
  return out;
}

function assertConverged(world: World): void {
  const { view } = world;
  for (const service of view.table('service').all()) {
    const label = service.spec!.name;
    assert.equal(service.removing, false, `${label} is still being removed`);
    const tasks = [...view.table('task').by('service', service.id)].filter(
      (task) => task.desiredState <= TaskState.RUNNING,
    );
    const count = service.spec!.mode === 1 ? NODES.length : service.spec!.replicas;
    const why = tasks.map((task) => task.pendingReason).join();
    assert.equal(tasks.length, count, `${label}: tasks ${why}`);
    for (const task of tasks) {
      const status = view.table('taskStatus').get(task.id);
      assert.equal(
        status?.state,
        TaskState.RUNNING,
        `${label}.${task.slot}: ${task.pendingReason}`,
      );
      assert.equal(task.desiredState, TaskState.RUNNING);
      assert.equal(task.draining, false);
      const revision = [...view.table('serviceRevision').by('service', service.id)].find(
        (row) => row.revision === task.revision,
      );
      assert.deepEqual(
        revision?.spec?.task?.process?.env,
        ['healed'],
        `${label}.${task.slot} is old`,
      );
    }
  }
  for (const task of view.table('task').all())
    assert.ok(view.table('service').has(task.serviceId), 'a task without a service');
}
