import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { INGRESS } from '../../manager/loop/addressing/predefined.ts';
import { isOver } from '../../manager/loop/task-facts.ts';
import type { AppliedEntry, Change } from '../../manager/store/view.ts';
import { Liveness, type NetworkAttachment, TaskState, type TaskStatus } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { contains, overlaps, type Prefix, parsePrefix } from '../../shared/prefix.ts';
import { defaultSpec, withWords } from './spec-words.ts';
import { World } from './world.ts';

const SERVICES = ['a', 'b', 'c'] as const;
const NETWORKS = ['x', 'y', 'z'] as const;
const DAY_MS = 24 * 3_600_000;

const word = fc.constantFrom(
  'replicas=0',
  'replicas=3',
  'replicas=9',
  'network=x',
  'network=y+x',
  'network=z',
  'network=',
  'endpoint-mode=dnsrr',
  'endpoint-mode=vip',
  'env=v1',
  'env=v2',
  'port=:80',
  'update-order=start-first',
  'restart-delay=0ms',
);
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('wish' as const),
      service: fc.constantFrom(...SERVICES),
      words: fc.array(word, { maxLength: 4 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('remove' as const),
      service: fc.constantFrom(...SERVICES),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('network' as const),
      network: fc.constantFrom(...NETWORKS),
      subnet: fc.constantFrom('', '', '10.9.0.16/29', '172.30.0.0/28'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('network-rm' as const),
      network: fc.constantFrom(...NETWORKS),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('liveness' as const),
      pick: fc.nat(9),
      to: fc.constantFrom(Liveness.READY, Liveness.DOWN, Liveness.DOWN, Liveness.LEAVING),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('node' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('node-rm' as const), pick: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('crash' as const), pick: fc.nat(50) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('agents' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(500, 5_000, 70_000, DAY_MS / 2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('ack' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('leader' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

test('no address, subnet or number is given twice or leaks, whatever happens and whoever leads', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
      async (steps) => {
        const play = new Play();
        await play.begin();
        for (const one of steps) {
          await play.do(one);
          assert.deepEqual(play.errors, []);
          assert.deepEqual(play.world.derivedDifferences(), []);
        }
        await play.end();
        assert.deepEqual(play.errors, []);
        assert.deepEqual(play.leftovers(), []);
        play.world.stop();
      },
    ),
    { numRuns: Number(process.env['RUNS'] ?? 100), includeErrorInReport: true },
  );
});

/** One run: a small pool, so that it is used up now and then. */
class Play {
  readonly world = new World();
  readonly errors: string[] = [];
  readonly #specs = new Map<string, ReturnType<typeof defaultSpec>>();
  /** Addresses of tasks without a row that may run on a lost node. */
  #ghosts: (Holder & { readonly nodeId: string; readonly untilMs: number })[] = [];
  #nodes = 0;

  async begin(): Promise<void> {
    await this.world.cluster({
      network: { addressPools: ['10.9.0.0/26'], subnetLength: 29 },
      spec: { taskHistoryLimit: 2 },
    });
    this.world.store.onApplied((entry) => {
      this.#noteGhosts(entry);
      this.errors.push(...violations(this.world), ...this.#haunted());
    });
    for (let n = 0; n < 3; n++) await this.#addNode();
  }

  async do(one: Step): Promise<void> {
    const { world } = this;
    switch (one.do) {
      case 'wish':
        return this.#wish(one.service, one.words);
      case 'remove':
        if (this.#exists(one.service)) await world.removeService(one.service);
        return;
      case 'network':
        return this.#addNetwork(one.network, one.subnet);
      case 'network-rm':
        if (this.#hasNetwork(one.network)) await world.removeNetwork(one.network);
        return;
      case 'liveness':
        return world.liveness([this.#node(one.pick)], one.to);
      case 'node':
        return this.#addNode();
      case 'node-rm':
        if (world.view.table('node').size > 1) await world.removeNode(this.#node(one.pick));
        return;
      case 'crash':
        return this.#crash(one.pick);
      case 'agents':
        await world.agents(() => true, 3);
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

  /** Everybody is back, everything is removed, and a day goes by. */
  async end(): Promise<void> {
    const { world } = this;
    for (const node of [...world.view.table('node').all()])
      await world.liveness([node.id], Liveness.READY);
    for (const service of SERVICES) if (this.#exists(service)) await world.removeService(service);
    const agents = async () => void (await world.agents());
    await world.advance(600_000, agents);
    for (const network of NETWORKS)
      if (this.#hasNetwork(network)) await world.removeNetwork(network);
    await world.advance(2 * DAY_MS, agents);
  }

  leftovers(): string[] {
    const { view } = this.world;
    return [
      ...[...holders(this.world)].map(({ who, address }) => `${who} still has ${address}`),
      ...[...view.table('networkState').all()]
        .filter((state) => state.id !== INGRESS)
        .map((state) => `the numbers of network ${state.id} are kept`),
      ...[...view.table('network').all()]
        .filter((network) => network.id !== INGRESS)
        .map((network) => `network ${network.spec?.name} is still there`),
      ...[...view.table('nodeState').all()]
        .filter((state) => !view.table('node').has(state.id))
        .map((state) => `the number of node ${state.id} is kept`),
    ];
  }

  #noteGhosts({ changes, timeMs }: AppliedEntry): void {
    const { view } = this.world;
    const isDown = (id: string) =>
      view.table('node').has(id) && view.table('nodeStatus').get(id)?.liveness === Liveness.DOWN;
    this.#ghosts = this.#ghosts.filter((one) => isDown(one.nodeId) && timeMs < one.untilMs);
    const statuses = new Map(
      changes.flatMap((change) =>
        change.table === 'taskStatus' ? [[change.id, (change as Change<'taskStatus'>).before]] : [],
      ) as [string, TaskStatus | undefined][],
    );
    for (const change of changes) {
      if (change.table !== 'task' || change.after !== undefined) continue;
      const task = (change as Change<'task'>).before!;
      if (isOver({ task, status: statuses.get(task.id) }) || !isDown(task.nodeId)) continue;
      const untilMs = view.table('nodeStatus').get(task.nodeId)!.sinceMs + DAY_MS;
      for (const { networkId, address } of task.attachments)
        this.#ghosts.push({ who: task.id, networkId, address, nodeId: task.nodeId, untilMs });
    }
  }
  #haunted(): string[] {
    const taken = new Map(
      [...holders(this.world)]
        .filter(({ who }) => !who.startsWith('node '))
        .map((one) => [`${one.networkId} ${one.address}`, one.who]),
    );
    const subnets = [...this.world.view.table('networkState').all()].flatMap((state) =>
      state.subnets.map(({ cidr }) => ({ id: state.id, prefix: parsePrefix(cidr)! })),
    );
    return this.#ghosts.flatMap((ghost) => {
      const address = parsePrefix(ghost.address)!;
      const other = subnets.find(
        ({ id, prefix }) => id !== ghost.networkId && contains(prefix, address),
      );
      if (other !== undefined) return [`network ${other.id} has the address of ${ghost.who}`];
      const who = taken.get(`${ghost.networkId} ${ghost.address}`);
      return who === undefined
        ? []
        : [`${who} has the address of ${ghost.who}, which may still run`];
    });
  }

  async #addNode(): Promise<void> {
    const id = `n${++this.#nodes}`;
    const resources = { nanoCpus: 4e9, memoryBytes: 2 ** 33 };
    await this.world.addNode(id, {}, resources, ['process', 'containerd'], {
      features: { network: 'overlay' },
      dataAddress: `192.168.0.${this.#nodes % 250}`,
      mtu: 1_500,
    });
  }
  #node(pick: number): string {
    const ids = [...this.world.view.table('node').all()].map(({ id }) => id);
    return ids[pick % ids.length]!;
  }
  #exists(service: string): boolean {
    const [row] = this.world.view.table('service').by('name', service);
    return row !== undefined && !row.removing;
  }
  #hasNetwork(name: string): boolean {
    const [row] = this.world.view.table('network').by('name', name);
    return row !== undefined && !row.removing;
  }
  async #addNetwork(name: string, subnet: string): Promise<void> {
    const [row] = this.world.view.table('network').by('name', name);
    if (row !== undefined) return;
    await this.world.createNetwork({ name, subnets: subnet === '' ? [] : [{ cidr: subnet }] });
  }
  async #wish(service: string, words: readonly string[]): Promise<void> {
    const [row] = this.world.view.table('service').by('name', service);
    if (row?.removing) return;
    const base = withWords(defaultSpec(service), ['image=web', 'network=x']);
    const spec = withWords(row === undefined ? base : this.#specs.get(service)!, withoutEnv(words));
    this.#specs.set(service, spec);
    if (row === undefined) await this.world.createService(spec);
    else await this.world.updateService(service, spec);
  }
  async #crash(pick: number): Promise<void> {
    const { view } = this.world;
    const running = [...view.table('task').all()].filter(
      (task) => view.table('taskStatus').get(task.id)?.state === TaskState.RUNNING,
    );
    const task = running[pick % Math.max(1, running.length)];
    if (task !== undefined) await this.world.report(task, { state: TaskState.FAILED, exitCode: 1 });
  }
}

/** Images have no `env` among the words of scenarios: another revision by force does the same. */
function withoutEnv(words: readonly string[]): string[] {
  return words.map((one) => one.replace(/^env=v/, 'force='));
}

interface Holder {
  readonly who: string;
  readonly networkId: string;
  readonly address: string;
}

function* holders(world: World): Iterable<Holder> {
  const { view } = world;
  const all = function* (who: string, held: readonly NetworkAttachment[]): Iterable<Holder> {
    for (const { networkId, address } of held) yield { who, networkId, address };
  };
  for (const state of view.table('serviceState').all())
    yield* all(`service ${state.id}`, state.virtualAddresses);
  for (const task of view.table('task').all())
    if (!isOver({ task, status: view.table('taskStatus').get(task.id) }))
      yield* all(`task ${task.id}`, task.attachments);
  for (const state of view.table('nodeState').all()) yield* all(`node ${state.id}`, state.held);
}

/** What must hold after every entry. */
function violations(world: World): string[] {
  const { view } = world;
  const out: string[] = [];
  const owners = new Map<string, string>();
  const once = (key: string, who: string) => {
    const other = owners.get(key);
    if (other !== undefined) out.push(`${key} belongs to ${other} and ${who}`);
    owners.set(key, who);
  };
  const subnets: { readonly prefix: Prefix; readonly id: string }[] = [];
  for (const state of view.table('networkState').all()) {
    if (state.index > 0) once(`network number ${state.index}`, state.id);
    if (state.vni > 0) once(`VNI ${state.vni}`, state.id);
    for (const { cidr, gateway } of state.subnets) {
      const prefix = parsePrefix(cidr)!;
      const other = subnets.find((one) => overlaps(one.prefix, prefix));
      if (other !== undefined) out.push(`${cidr} of ${state.id} overlaps one of ${other.id}`);
      subnets.push({ prefix, id: state.id });
      once(`${state.id} ${gateway}`, 'its gateway');
    }
  }
  for (const state of view.table('nodeState').all())
    if (state.index > 0) once(`node number ${state.index}`, state.id);
  for (const { who, networkId, address } of holders(world)) {
    once(`${networkId} ${address}`, who);
    const prefix = parsePrefix(address)!;
    const own = subnets.filter(({ id }) => id === networkId);
    if (!own.some((subnet) => contains(subnet.prefix, prefix)))
      out.push(`${address} of ${who} is in no subnet of ${networkId}`);
  }
  return out;
}

test('a removed node keeps its number for a day', async () => {
  const play = new Play();
  await play.begin();
  const { world } = play;
  const indexOf = (id: string) => world.view.table('nodeState').get(id)?.index;
  assert.equal(indexOf('n1'), 1);
  await world.removeNode('n1');
  await play.do({ do: 'node' });
  assert.equal(indexOf('n4'), 4);
  await world.changeLeader();
  await world.advance(LIMITS.nodeIndexRestMs + 1_000);
  assert.equal(indexOf('n1'), undefined);
  await play.do({ do: 'node' });
  assert.equal(indexOf('n5'), 1);
  world.stop();
});
