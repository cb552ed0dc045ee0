import { revisionKey } from '../../../manager/store/schema.ts';
import type { Draft, View } from '../../../manager/store/view.ts';
import {
  Availability,
  type Init,
  Liveness,
  Network,
  Node,
  Protocol,
  RestartCondition,
  Service,
  ServiceMode,
  ServiceRevision,
  ServiceSpec,
  type Task,
  TaskState,
  UpdateOrder,
} from '../../../proto/index.ts';
import type { World } from './machine.ts';
import type { ManagerProcess } from './manager-process.ts';
import type { Managers } from './managers.ts';
import type { SimAgent } from './sim-agent.ts';

export interface ServicesDeps extends World {
  readonly managers: Managers;
  readonly agents: readonly SimAgent[];
}

const SERVICES = 3;
const REPLICAS_MAX = 4;
/** Of the four that a node has. */
const CPU = 1e9;
/** Two of three services are on it: it has few addresses, which come back again and again. */
const NETWORK = { name: 'net', driver: 'overlay', subnets: [{ cidr: '172.30.0.0/27' }] };

/** Of ten wishes: the others are services that are made, scaled and updated. */
const REMOVALS = 1;
const DRAINS = 2;

/** A user who makes, scales, updates and removes services, and drains nodes, while everything breaks. */
export class Services {
  readonly #deps: ServicesDeps;
  /** The node that is to run nothing for now. */
  #drained: string | undefined;
  #stopped = false;

  constructor(deps: ServicesDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { timeline, random } = this.#deps;
    timeline.after(300 + random.below(2_500), () => {
      if (!this.#stopped) this.#wish();
      this.#fulfilDrain();
      this.start();
    });
  }
  /** No more wishes; every node may run tasks again. */
  stop(): void {
    this.#stopped = true;
    this.#drained = undefined;
  }

  /** What is not as wished: each replica runs once, where its row says, and nothing else runs. */
  problem(leader: ManagerProcess): string {
    const { view } = leader.store;
    const { agents } = this.#deps;
    for (const agent of agents) {
      const availability = view.table('node').get(agent.nodeId)?.availability;
      if (availability === Availability.DRAIN) return `${agent.nodeId} is drained`;
      const liveness = view.table('nodeStatus').get(agent.nodeId)?.liveness;
      if (!agent.isConnected) return `${agent.nodeId} has no session`;
      if (liveness !== Liveness.READY) return `${agent.nodeId} has liveness ${liveness}`;
    }
    let wanted = 0;
    for (const service of view.table('service').all()) {
      if (service.removing) return `${service.spec?.name} is being removed`;
      const tasks = [...view.table('task').by('service', service.id)];
      const running = tasks.filter((task) => this.#runs(view, task)).length;
      const replicas = service.spec?.replicas ?? 0;
      if (running !== replicas) return `${running} of ${replicas} run of ${service.spec?.name}`;
      wanted += replicas;
    }
    const real = agents.flatMap(({ tasks }) => tasks.ids.filter((id) => tasks.isRunning(id)));
    return real.length === wanted ? '' : `${real.length} processes run instead of ${wanted}`;
  }
  #runs(view: View, task: Task): boolean {
    const status = view.table('taskStatus').get(task.id);
    const agent = this.#deps.agents.find(({ nodeId }) => nodeId === task.nodeId);
    return (
      task.desiredState === TaskState.RUNNING &&
      status?.state === TaskState.RUNNING &&
      (agent?.tasks.isRunning(task.id) ?? false)
    );
  }

  #wish(): void {
    const { random } = this.#deps;
    const name = `s${random.below(SERVICES)}`;
    const choice = random.below(10);
    if (choice < REMOVALS) this.#ask('service removed', (draft) => removeService(draft, name));
    else if (choice < REMOVALS + DRAINS) this.#drainAnother();
    else {
      const replicas = 1 + random.below(REPLICAS_MAX);
      const isUpdate = random.below(2) === 0;
      // One has a port of its own choice; the others may have to take what is free.
      const port = name === 's0' ? 8_000 + Number(name.slice(1)) : 0;
      this.#ask('service changed', (draft) =>
        putService(draft, { name, replicas, port, isUpdate, order: random.below(2) }),
      );
    }
  }

  #drainAnother(): void {
    const { random, agents } = this.#deps;
    const isOver = this.#drained !== undefined;
    this.#drained = isOver ? undefined : agents[random.below(agents.length)]!.nodeId;
  }

  /** Again and again: whoever leads may not have heard of it, or forgotten it. */
  #fulfilDrain(): void {
    const { managers } = this.#deps;
    for (const node of managers.leader()?.store.view.table('node').all() ?? []) {
      const wished = node.id === this.#drained ? Availability.DRAIN : Availability.ACTIVE;
      if (node.availability === wished) continue;
      const name = wished === Availability.DRAIN ? 'node drained' : 'node active again';
      this.#ask(name, (draft) => setAvailability(draft, node.id, wished));
    }
  }

  #ask(name: string, change: (draft: Draft) => void): void {
    const { managers, counters, checker } = this.#deps;
    const leader = managers.leader();
    leader?.store.update(change, { writer: 'users' }).then(
      () => counters.count(name),
      (error: unknown) => {
        counters.count(`not done: ${name}`);
        if (!leader.isDead) checker.refused(leader, error);
      },
    );
  }
}

function setAvailability(draft: Draft, nodeId: string, availability: Availability): void {
  const node = draft.table('node').get(nodeId);
  if (node) draft.put('node', Node.with(node, { availability }));
}

/** As `swarm service rm`: the loop ends its tasks, and then the rows. */
function removeService(draft: Draft, name: string): void {
  const [service] = draft.table('service').by('name', name);
  if (service) draft.put('service', Service.with(service, { removing: true }));
}

interface ServiceWish {
  readonly name: string;
  readonly replicas: number;
  readonly port: number;
  readonly isUpdate: boolean;
  readonly order: number;
}

function putService(draft: Draft, wish: ServiceWish): void {
  const { name, replicas, port, isUpdate, order } = wish;
  const [network] = draft.table('network').by('name', NETWORK.name);
  if (!network) draft.put('network', Network.create({ id: draft.newId(), spec: NETWORK }));
  const [before] = draft.table('service').by('name', name);
  if (before?.removing) return;
  const version = isUpdate || !before ? String(draft.timeMs) : versionOf(before);
  const spec = ServiceSpec.create(specOf(name, replicas, port, version, order));
  const revision = (before?.revision ?? 0) + 1;
  const service = before
    ? Service.with(before, { spec, revision })
    : Service.create({ id: draft.newId(), spec, revision });
  draft.put('service', service);
  draft.put(
    'serviceRevision',
    ServiceRevision.create({
      id: revisionKey(service.id, revision),
      serviceId: service.id,
      revision,
      spec,
    }),
  );
}

function versionOf(service: Service): string {
  return service.spec?.task?.process?.env[0] ?? '';
}

function specOf(
  name: string,
  replicas: number,
  port: number,
  version: string,
  order: number,
): Init<ServiceSpec> {
  const updates = {
    parallelism: 1,
    monitorMs: 500,
    progressDeadlineMs: 60_000,
    order: order === 0 ? UpdateOrder.START_FIRST : UpdateOrder.STOP_FIRST,
  };
  return {
    name,
    mode: ServiceMode.REPLICATED,
    replicas,
    task: {
      process: { command: ['run'], env: [version], stopGraceMs: 1_000 },
      reservations: { nanoCpus: CPU },
      restart: { condition: RestartCondition.ANY, delayMs: 200 },
      placement: { constraints: [], spread: [] },
      drainTimeMs: 100,
      networks: name === 's0' ? [] : [{ target: NETWORK.name }],
    },
    update: updates,
    rollback: updates,
    endpoint: { ports: [{ protocol: Protocol.TCP, target: 80, published: port }] },
  };
}
