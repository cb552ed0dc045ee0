import {
  ControlService,
  ListRequest,
  type NetworkView,
  type NodeView,
  Ref,
  ServiceSpec,
  type ServiceView,
  TaskState,
  type TaskView,
  UpdateServiceRequest,
} from '../../proto/index.ts';
import { dial } from '../../shared/rpc/client.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import { until } from './swarm.ts';

/** Of this process: an id that was used before is answered without being done. */
let requests = 0;

/** What the command line shows for people, as rows: asked of one daemon over its socket. */
export class Api {
  readonly #client: Client;

  constructor(socket: string) {
    this.#client = dial(socket);
  }
  close(): void {
    this.#client.close();
  }

  /** Every task of the service that is still kept, ended ones too. */
  async tasks(service: string): Promise<readonly TaskView[]> {
    const filters = [{ key: 'service', value: service }];
    const answer = await this.#client.unary(
      ControlService.listTasks,
      ListRequest.create({ filters }),
    );
    return answer.tasks;
  }
  /** Those that are wanted and run. */
  async running(service: string): Promise<readonly TaskView[]> {
    return (await this.tasks(service)).filter(
      ({ task, state }) => task?.desiredState === TaskState.RUNNING && state === TaskState.RUNNING,
    );
  }
  /** Resolves with the running tasks once there are `count`, and `also` holds for them. */
  untilRunning(
    service: string,
    count: number,
    also: (tasks: readonly TaskView[]) => boolean = () => true,
    timeoutMs = 30_000,
  ): Promise<readonly TaskView[]> {
    return until(
      `${count} tasks of ${service} to run`,
      async () => {
        const tasks = await this.running(service);
        return tasks.length === count && also(tasks) ? tasks : undefined;
      },
      timeoutMs,
    );
  }
  /** Of all services. */
  async allTasks(): Promise<readonly TaskView[]> {
    return (await this.#client.unary(ControlService.listTasks, ListRequest.create())).tasks;
  }
  async services(): Promise<readonly ServiceView[]> {
    return (await this.#client.unary(ControlService.listServices, ListRequest.create())).services;
  }
  async networks(): Promise<readonly NetworkView[]> {
    return (await this.#client.unary(ControlService.listNetworks, ListRequest.create())).networks;
  }
  async nodes(): Promise<readonly NodeView[]> {
    return (await this.#client.unary(ControlService.listNodes, ListRequest.create())).nodes;
  }
  /** The name of the leader, when there is one that is not marked stale. */
  leader(): Promise<string> {
    return until('a leader', async () => {
      const answer = await this.#client.unary(ControlService.listNodes, ListRequest.create());
      if (answer.freshness?.stale === true) return undefined;
      return answer.nodes.find((view) => view.leader)?.node?.name;
    });
  }
  async serviceIds(): Promise<readonly string[]> {
    return (await this.services()).map((view) => view.service!.id);
  }
  async service(ref: string): Promise<ServiceView> {
    const answer = await this.#client.unary(ControlService.getService, Ref.create({ ref }));
    return answer.service!;
  }
  /** Reads, adds a label and writes. Resolves when the cluster has acknowledged it. */
  async label(ref: string, labels: { readonly [key: string]: string }): Promise<void> {
    const { service } = await this.service(ref);
    const spec = ServiceSpec.with(service!.spec!, {
      labels: { ...service!.spec!.labels, ...labels },
    });
    const request = UpdateServiceRequest.create({ ref, version: service!.version, spec });
    const requestId = `${process.pid}-${++requests}`;
    await this.#client.unary(ControlService.updateService, request, { requestId });
  }
}

/** Which tasks run as which processes: equal when nothing was restarted. */
export function identities(tasks: readonly TaskView[]): string[] {
  return tasks.map(({ task, status }) => `${task!.id} ${status!.pid}`).sort();
}
