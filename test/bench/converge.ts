import {
  ControlService,
  CreateServiceRequest,
  type ServiceProgress,
  ServiceSpec,
  TaskState,
  UpdateServiceRequest,
} from '../../proto/index.ts';
import { dial } from '../../shared/rpc/client.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import { DevCluster } from '../support/dev-cluster.ts';
import { line, since } from './report.ts';
import { untilProgress } from './watch.ts';

/** N process replicas on 3 + 2 local nodes: answer of the API to all RUNNING. */
export async function converge(args: readonly string[]): Promise<void> {
  const sizes = args.length > 0 ? args.map(Number) : [1, 10, 100, 500];
  const cluster = await DevCluster.up(3, 2);
  const client = dial((await cluster.node('m1')).socket);
  try {
    await create(client, 'warm', 5);
    await remove(client, 'warm');
    for (const size of sizes) await one(client, size);
    await rollingUpdate(client, 100);
  } finally {
    client.close();
    await cluster.down();
  }
}

async function one(client: Client, size: number): Promise<void> {
  const name = `bench${size}`;
  const times = await create(client, name, size);
  line(`create ${size}: first RUNNING after the request`, times.firstMs, 'ms');
  line(`create ${size}: all RUNNING after the answer`, times.allMs, 'ms');
  if (size >= 10) {
    line(`scale ${size} to ${size / 2}`, await scale(client, name, size / 2), 'ms');
    line(`scale ${size / 2} to ${size}`, await scale(client, name, size), 'ms');
  }
  line(`remove ${size}`, await remove(client, name), 'ms');
}

async function rollingUpdate(client: Client, size: number): Promise<void> {
  const name = 'update';
  await create(client, name, size);
  const { service } = await client.unary(ControlService.getService, { ref: name });
  const spec = ServiceSpec.with(service!.service!.spec!, { task: sleepSpec(name, size, 'b').task });
  const startMs = performance.now();
  const { version } = service!.service!;
  const request = UpdateServiceRequest.create({ ref: name, version, spec });
  await client.unary(ControlService.updateService, request);
  await untilProgress(client, name, (progress) => allRunning(progress, size));
  line(`update ${size}, parallelism 10: all new RUNNING`, since(startMs), 'ms');
  await remove(client, name);
}

async function create(client: Client, name: string, size: number) {
  const askedMs = performance.now();
  await client.unary(
    ControlService.createService,
    CreateServiceRequest.create({ spec: sleepSpec(name, size, 'a') }),
  );
  const answeredMs = performance.now();
  let firstMs = 0;
  await untilProgress(client, name, (progress) => {
    const running = progress.tasks.filter((task) => task.state === TaskState.RUNNING).length;
    if (running > 0 && firstMs === 0) firstMs = since(askedMs);
    return allRunning(progress, size);
  });
  return { firstMs, allMs: since(answeredMs) };
}

async function scale(client: Client, name: string, replicas: number): Promise<number> {
  const startMs = performance.now();
  await client.unary(ControlService.scaleService, { ref: name, replicas });
  await untilProgress(client, name, (progress) => {
    const live = progress.tasks.filter((task) => task.state <= TaskState.RUNNING);
    return live.length === replicas && live.every((task) => task.state === TaskState.RUNNING);
  });
  return since(startMs);
}

async function remove(client: Client, name: string): Promise<number> {
  const startMs = performance.now();
  const { id } = await client.unary(ControlService.removeService, { ref: name });
  for await (const progress of client.serverStream(ControlService.watchService, {
    id,
    version: 0,
    removal: true,
    settleMs: 0,
  })) {
    if (progress.removed) break;
  }
  return since(startMs);
}

function allRunning(progress: ServiceProgress, size: number): boolean {
  const wished = progress.tasks.filter((task) => task.wishedRevision);
  return wished.filter((task) => task.state === TaskState.RUNNING).length >= size;
}

function sleepSpec(name: string, replicas: number, version: string): ServiceSpec {
  return ServiceSpec.create({
    name,
    replicas,
    task: {
      process: {
        command: ['sleep', '100000'],
        env: [`VERSION=${version}`],
        user: process.getuid?.() === 0 ? 'root' : '',
        stopSignal: 'SIGKILL',
      },
    },
    update: { parallelism: 10 },
  });
}
