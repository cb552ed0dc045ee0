import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  ControlService,
  CreateServiceRequest,
  Empty,
  ListRequest,
  LocalService,
  RestartCondition,
  ServiceSpec,
  TaskState,
  type TaskView,
  UpdateServiceRequest,
} from '../../proto/index.ts';
import { dial } from '../../shared/rpc/client.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import type { PrivateContainerd } from '../../worker/runtime/containerd/containerd.fixture.ts';
import { DevCluster, type DevNode, netdOf } from '../support/dev-cluster.ts';
import { isRunning } from '../support/processes.ts';
import { until } from '../support/swarm.ts';
import { memoryOf, memoryOfPid } from './memory.ts';
import { pollUntil, type Side, type Wanted } from './side.ts';

/** One manager and one worker, which alone runs containers, on a containerd of the bench's own. */
export class SwarmSide implements Side {
  readonly name = 'swarm';
  readonly #cluster: DevCluster;
  readonly #engine: PrivateContainerd;
  readonly #client: Client;
  #worker: DevNode;

  private constructor(
    cluster: DevCluster,
    engine: PrivateContainerd,
    client: Client,
    worker: DevNode,
  ) {
    this.#cluster = cluster;
    this.#engine = engine;
    this.#client = client;
    this.#worker = worker;
  }
  static async start(engine: PrivateContainerd): Promise<SwarmSide> {
    await engine.start();
    const env = { CONTAINERD_ADDRESS: engine.socket };
    const cluster = await DevCluster.up(1, 1, { env });
    const client = dial((await cluster.node('m1')).socket);
    return new SwarmSide(cluster, engine, client, await cluster.node('w1'));
  }

  async create(wanted: Wanted): Promise<number> {
    const spec = specOf(wanted);
    await this.#client.unary(ControlService.createService, CreateServiceRequest.create({ spec }));
    return this.#untilRunning(wanted);
  }
  async update(wanted: Wanted): Promise<number> {
    const ref = wanted.name;
    const { service } = await this.#client.unary(ControlService.getService, { ref });
    const { version } = service!.service!;
    const spec = specOf(wanted);
    const request = UpdateServiceRequest.create({ ref, version, spec });
    await this.#client.unary(ControlService.updateService, request);
    return this.#untilRunning(wanted);
  }
  async remove(name: string): Promise<number> {
    await this.#client.unary(ControlService.removeService, { ref: name });
    return pollUntil(`the end of ${name}`, async () => {
      const filters = [{ key: 'name', value: `${name}.` }];
      const request = ListRequest.create({ filters });
      const { tasks } = await this.#client.unary(ControlService.listTasks, request);
      return tasks.length === 0;
    });
  }
  async ended(name: string): Promise<{ readonly code: number; readonly oom: boolean }> {
    const { status } = await until(`the end of ${name}`, async () => {
      const [first] = await this.#tasks(name);
      return first !== undefined && first.state > TaskState.RUNNING ? first : undefined;
    });
    return { code: status!.exitCode, oom: status!.oom };
  }
  async cpuNanos(name: string): Promise<number> {
    const [view] = await this.#tasks(name);
    const { id } = view!.task!;
    const parent = `swarm/${this.#nodeShort(view!)}/${id}`;
    try {
      return Number(readFileSync(`/sys/fs/cgroup/cpuacct/${parent}/cpuacct.usage`, 'utf8'));
    } catch {
      const text = readFileSync(`/sys/fs/cgroup/${parent}/cpu.stat`, 'utf8');
      return 1_000 * Number(/usage_usec (\d+)/.exec(text)![1]);
    }
  }
  memory(): { readonly daemons: number; readonly beside: number } {
    const daemons = this.agentMemory() + memoryOf([`containerd -c ${this.#engine.directory}`]);
    return { daemons, beside: memoryOf([`-address ${this.#engine.socket}`]) };
  }
  /** swarmd and netd of the worker. */
  agentMemory(): number {
    const netd = netdOf(this.#worker);
    return memoryOfPid(this.#worker.pid) + (netd === undefined ? 0 : memoryOfPid(netd));
  }
  /** Kills the worker's daemon; of the start of the next one to `count` tasks in its hands. */
  async restart(
    count: number,
  ): Promise<{ readonly adoptedMs: number; readonly connectedMs: number }> {
    const { pid, dir, socket, name } = this.#worker;
    process.kill(pid, 'SIGKILL');
    await until('its end', () => (isRunning(pid) ? undefined : true));
    const before = logSize(dir);
    const started = this.#cluster.dev('start', name);
    let adoptedMs = 0;
    let client: Client | undefined;
    const began = await until('its first line', () => firstLineMs(dir, before));
    const connectedMs = await pollFast(async () => {
      client ??= dial(socket);
      const { tasks } = await client.unary(LocalService.tasks, Empty.create());
      const running = tasks.filter(({ status }) => status?.state === TaskState.RUNNING).length;
      if (running >= count && adoptedMs === 0) adoptedMs = Date.now() - began;
      const info = await client.unary(LocalService.info, Empty.create());
      return running >= count && info.connected ? Date.now() - began : undefined;
    });
    client?.close();
    await started;
    this.#worker = await this.#cluster.node(name);
    return { adoptedMs, connectedMs };
  }
  async stop(): Promise<void> {
    this.#client.close();
    await this.#cluster.down();
    await this.#engine.close();
  }

  #untilRunning({ name, replicas, version = 'a' }: Wanted): Promise<number> {
    return pollUntil(`${replicas} of ${name}`, async () => {
      const running = (await this.#tasks(name)).filter(
        ({ task, state }) =>
          task?.desiredState === TaskState.RUNNING &&
          state === TaskState.RUNNING &&
          task.revision === (version === 'a' ? 1 : 2),
      );
      return running.length >= replicas;
    });
  }
  async #tasks(name: string): Promise<readonly TaskView[]> {
    const request = ListRequest.create({ filters: [{ key: 'service', value: name }] });
    return (await this.#client.unary(ControlService.listTasks, request)).tasks;
  }
  #nodeShort({ task }: TaskView): string {
    return task!.nodeId.slice(0, 8);
  }
}

function logSize(dir: string): number {
  return readFileSync(join(dir, 'swarmd.log')).length;
}

/** Wall time of the first line that a new daemon wrote. */
function firstLineMs(dir: string, from: number): number | undefined {
  const text = readFileSync(join(dir, 'swarmd.log')).subarray(from).toString('utf8');
  const time = /"time":"?([^",}]+)/.exec(text)?.[1];
  if (time === undefined) return undefined;
  return /^\d+$/.test(time) ? Number(time) : Date.parse(time);
}

async function pollFast(ask: () => Promise<number | undefined>): Promise<number> {
  for (;;) {
    const answer = await ask().catch(() => undefined);
    if (answer !== undefined) return answer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function specOf({ name, image, command, replicas, version = 'a', ...rest }: Wanted): ServiceSpec {
  return ServiceSpec.create({
    name,
    replicas,
    task: {
      container: {
        image,
        command: [...command],
        env: [`VERSION=${version}`],
        stopSignal: 'SIGKILL',
        cpuShares: rest.cpuShares ?? 0,
      },
      limits: { memoryBytes: rest.memoryBytes ?? 0, nanoCpus: rest.nanoCpus ?? 0 },
      restart: {
        condition: rest.once === true ? RestartCondition.NONE : RestartCondition.ANY,
      },
      placement: { constraints: ['node.role==worker'] },
    },
    update: { parallelism: 10 },
  });
}
