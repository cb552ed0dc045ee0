import { Loop } from '../../manager/loop/loop.ts';
import type { NodeIndex } from '../../manager/loop/node-index.ts';
import { LocalStore } from '../../manager/store/local-store.fixture.ts';
import { revisionKey } from '../../manager/store/schema.ts';
import type { AppliedEntry, View } from '../../manager/store/view.ts';
import {
  type Availability,
  Cluster,
  type Event,
  type EventRow,
  type Init,
  Liveness,
  Network,
  type NetworkSpec,
  Node,
  NodeDescription,
  NodeStatus,
  NodeVolumes,
  Service,
  ServiceRevision,
  ServiceSpec,
  type Task,
  TaskState,
  TaskStatus,
} from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { SeededIds } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';

export interface Resources {
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  readonly generic?: { readonly [kind: string]: number };
}

/**
 * A cluster of rows: the real store and the real loop; users, agents and liveness are played by the
 * test. Nothing here waits for time.
 */
export class World {
  readonly clock: ManualClock;
  readonly store: LocalStore;
  readonly events: Event[] = [];
  /** Entries in which a row of the loop changed. */
  turns = 0;
  #loop: Loop;
  #term = 1;

  constructor(seed = 1, clock = new ManualClock()) {
    this.clock = clock;
    this.store = new LocalStore({
      clock: this.clock,
      ids: new SeededIds(new SeededRandom(seed)),
    });
    this.store.onApplied((entry) => this.#observe(entry));
    this.#loop = new Loop({ store: this.store, clock: this.clock, log: silentLog, debug: true });
    // Moment 0 means "never" in rows.
    this.clock.advance(1_000);
    this.#loop.start(this.#term);
  }

  get view(): View {
    return this.store.view;
  }
  get nodeIndex(): NodeIndex | undefined {
    return this.#loop.nodeIndex;
  }
  stop(): void {
    this.#loop.stop();
  }

  /** A new leader: another loop over the same state. */
  async changeLeader(): Promise<void> {
    this.#loop.stop();
    this.#loop = new Loop({ store: this.store, clock: this.clock, log: silentLog, debug: true });
    this.#loop.start(++this.#term);
    await this.settle();
  }

  /** Lets everything that needs no time happen. */
  async settle(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve));
    while (!this.#loop.isIdle);
  }

  /** Moves time on; `each` runs after every moment at which something was due. */
  async advance(ms: number, each: () => Promise<void> = async () => undefined): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    await each();
    for (;;) {
      const due = this.clock.nextDueMs();
      const nextMs = due === undefined ? endMs : Math.min(due, endMs);
      this.clock.advance(Math.max(0, nextMs - this.clock.monotonicMs()));
      await this.settle();
      await each();
      if (nextMs >= endMs) return;
    }
  }

  async cluster(settings: Init<Cluster>): Promise<void> {
    await this.store.put('cluster', 'users', Cluster.create({ ...settings, id: 'cluster' }));
    await this.settle();
  }
  /** What the loop derived and a rebuild from the rows differ in. */
  derivedDifferences(): string[] {
    return this.#loop.derivedDifferences();
  }

  // -- nodes

  async addNode(
    id: string,
    labels: { readonly [key: string]: string } = {},
    resources: Resources = { nanoCpus: 4e9, memoryBytes: 8 * 2 ** 30 },
    runtimes: readonly string[] = ['process'],
    network: Init<NodeDescription> = {},
  ): Promise<void> {
    await this.store.put('node', 'users', Node.create({ id, name: id, labels }));
    await this.store.put(
      'nodeStatus',
      'status',
      NodeStatus.create({
        id,
        liveness: Liveness.READY,
        sinceMs: this.store.nowMs(),
        address: '10.0.0.1',
        publishAddress: '10.0.0.1',
        description: {
          hostname: id,
          os: 'linux',
          architecture: 'amd64',
          resources,
          runtimes,
          ...network,
        },
      }),
    );
    await this.settle();
  }
  async liveness(ids: readonly string[], liveness: Liveness): Promise<void> {
    const sinceMs = this.store.nowMs();
    const rows = ids.map((id) =>
      NodeStatus.with(this.view.table('nodeStatus').get(id)!, { liveness, sinceMs }),
    );
    await this.store.put('nodeStatus', 'status', ...rows);
    await this.settle();
  }
  async changeNode(
    id: string,
    patch: {
      availability?: Availability;
      labels?: Node['labels'];
      removing?: boolean;
      runtime?: string;
    },
  ): Promise<void> {
    const row = this.view.table('node').get(id)!;
    await this.store.put('node', 'users', Node.with(row, patch));
    await this.settle();
  }
  async removeNode(id: string): Promise<void> {
    await this.store.update(
      (draft) => {
        draft.delete('node', id);
        draft.delete('nodeStatus', id);
      },
      { writer: 'users' },
    );
    await this.settle();
  }

  /** A node tells something new of itself. */
  async describe(id: string, patch: Partial<NodeDescription>): Promise<void> {
    const row = this.view.table('nodeStatus').get(id)!;
    const description = NodeDescription.with(row.description!, patch);
    await this.store.put('nodeStatus', 'status', NodeStatus.with(row, { description }));
    await this.settle();
  }

  /** All that the node has now. */
  async volumes(id: string, names: readonly string[]): Promise<void> {
    const volumes = names.map((name) => ({ name }));
    await this.store.put('nodeVolumes', 'status', NodeVolumes.create({ id, volumes }));
    await this.settle();
  }

  // -- networks

  async createNetwork(spec: Init<NetworkSpec>): Promise<string> {
    const id = await this.store.update(
      (draft) => {
        const network = Network.create({ id: draft.newId(), spec });
        draft.put('network', network);
        return network.id;
      },
      { writer: 'users' },
    );
    await this.settle();
    return id;
  }
  async removeNetwork(name: string): Promise<void> {
    const [network] = this.view.table('network').by('name', name);
    if (network === undefined) throw new Error(`no network ${name}`);
    await this.store.put('network', 'users', Network.with(network, { removing: true }));
    await this.settle();
  }

  // -- services

  async createService(spec: Init<ServiceSpec>): Promise<string> {
    const id = await this.store.update(
      (draft) => {
        const service = Service.create({ id: draft.newId(), spec, revision: 1 });
        draft.put('service', service);
        draft.put('serviceRevision', revisionRow(service, ''));
        return service.id;
      },
      { writer: 'users' },
    );
    await this.settle();
    return id;
  }
  async updateService(name: string, spec: Init<ServiceSpec>, note = ''): Promise<void> {
    const before = this.service(name);
    const revision = before.revision + 1;
    const service = Service.with(before, { spec: ServiceSpec.create(spec), revision });
    await this.store.update(
      (draft) => {
        draft.put('service', service);
        draft.put('serviceRevision', revisionRow(service, note));
      },
      { writer: 'users' },
    );
    await this.settle();
  }
  async removeService(name: string): Promise<void> {
    await this.store.put('service', 'users', Service.with(this.service(name), { removing: true }));
    await this.settle();
  }
  service(name: string): Service {
    const [service] = this.view.table('service').by('name', name);
    if (service === undefined) throw new Error(`no service ${name}`);
    return service;
  }

  // -- dispatcher and agents

  /** All nodes have taken what drains out of their load balancing. */
  acknowledgeDrains(): void {
    const draining = [...this.view.table('task').all()].filter((task) => task.draining);
    this.#loop.drainAcknowledged(draining.map((task) => task.id));
  }

  async report(task: Task, patch: Partial<TaskStatus>): Promise<void> {
    await this.store.put('taskStatus', 'status', this.#status(task, patch));
    await this.settle();
  }

  /**
   * Agents of nodes that answer do at once what is asked of them. `starts` says how a task fares
   * that is told to run: true, or the status with which it ends. True when anything was reported.
   */
  async agents(
    starts: (task: Task) => true | Partial<TaskStatus> = () => true,
    rounds = 200,
  ): Promise<boolean> {
    let any = false;
    for (let round = 0; round < rounds; round++) {
      const rows: TaskStatus[] = [];
      for (const task of this.view.table('task').all()) {
        const patch = this.#nextStep(task, starts);
        if (patch !== undefined) rows.push(this.#status(task, patch));
      }
      if (rows.length === 0) return any;
      any = true;
      await this.store.put('taskStatus', 'status', ...rows);
      await this.settle();
    }
    if (rounds === 200) throw new Error('the agents do not come to rest');
    return any;
  }

  #nextStep(
    task: Task,
    starts: (task: Task) => true | Partial<TaskStatus>,
  ): Partial<TaskStatus> | undefined {
    const state = this.view.table('taskStatus').get(task.id)?.state ?? TaskState.NEW;
    if (task.nodeId === '' || task.state < TaskState.ASSIGNED || state >= TaskState.COMPLETE)
      return undefined;
    if (task.state === TaskState.ORPHANED) return undefined;
    const liveness = this.view.table('nodeStatus').get(task.nodeId)?.liveness;
    if (liveness !== Liveness.READY && liveness !== Liveness.LEAVING) return undefined;
    if (task.desiredState > TaskState.RUNNING) return { state: TaskState.SHUTDOWN };
    if (task.desiredState === TaskState.READY)
      return state < TaskState.READY ? { state: TaskState.READY } : undefined;
    if (state >= TaskState.RUNNING) return undefined;
    const outcome = starts(task);
    if (outcome === true) return { state: TaskState.RUNNING, ready: true };
    return outcome.state === state ? undefined : outcome;
  }

  #status(task: Task, patch: Partial<TaskStatus>): TaskStatus {
    const before = this.view.table('taskStatus').get(task.id) ?? TaskStatus.create({ id: task.id });
    const now = this.store.nowMs();
    const state = patch.state ?? before.state;
    return TaskStatus.with(before, {
      runningSinceMs:
        state === TaskState.RUNNING && before.runningSinceMs === 0 ? now : before.runningSinceMs,
      endedMs: state >= TaskState.COMPLETE && before.endedMs === 0 ? now : before.endedMs,
      ...patch,
    });
  }

  #observe(entry: AppliedEntry): void {
    let own = false;
    for (const { table, after } of entry.changes) {
      if (table === 'event') this.events.push(...(after as EventRow).events);
      else if (table === 'task' || table === 'serviceState' || table === 'nodeState') own = true;
    }
    if (own) this.turns++;
  }
}

function revisionRow(service: Service, note: string): ServiceRevision {
  return ServiceRevision.create({
    id: revisionKey(service.id, service.revision),
    serviceId: service.id,
    revision: service.revision,
    spec: service.spec,
    note,
  });
}
