import { revisionKey } from '../../../manager/store/schema.ts';
import type { Draft, View } from '../../../manager/store/view.ts';
import {
  type Init,
  Liveness,
  Network,
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

/** A user who creates, scales and updates services while everything breaks. */
export class Services {
  readonly #deps: ServicesDeps;
  #stopped = false;

  constructor(deps: ServicesDeps) {
    this.#deps = deps;
  }

  start(): void {
    const { timeline, random } = this.#deps;
    timeline.after(300 + random.below(2_500), () => {
      if (this.#stopped) return;
      this.#change();
      this.start();
    });
  }
  stop(): void {
    this.#stopped = true;
  }

  /** What is not as wished: each replica runs once, where its row says, and nothing else runs. */
  problem(leader: ManagerProcess): string {
    const { view } = leader.store;
    const { agents } = this.#deps;
    for (const agent of agents) {
      const liveness = view.table('nodeStatus').get(agent.nodeId)?.liveness;
      if (!agent.isConnected) return `${agent.nodeId} has no session`;
      if (liveness !== Liveness.READY) return `${agent.nodeId} has liveness ${liveness}`;
    }
    let wanted = 0;
    for (const service of view.table('service').all()) {
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

  #change(): void {
    const { managers, random, counters, checker } = this.#deps;
    const leader = managers.leader();
    if (!leader) return;
    const name = `s${random.below(SERVICES)}`;
    const replicas = 1 + random.below(REPLICAS_MAX);
    const isUpdate = random.below(2) === 0;
    leader.store
      .update((draft) => putService(draft, name, replicas, isUpdate, random.below(2)), {
        writer: 'users',
      })
      .then(
        () => counters.count('service changed'),
        (error: unknown) => {
          counters.count('service not changed');
          if (!leader.isDead) checker.refused(leader, error);
        },
      );
  }
}

function putService(
  draft: Draft,
  name: string,
  replicas: number,
  isUpdate: boolean,
  order: number,
): void {
  const [network] = draft.table('network').by('name', NETWORK.name);
  if (!network) draft.put('network', Network.create({ id: draft.newId(), spec: NETWORK }));
  const [before] = draft.table('service').by('name', name);
  const port = 8_000 + Number(name.slice(1));
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
