import { setTimeout as wait } from 'node:timers/promises';
import { ControlService, TaskState } from '../../proto/index.ts';
import { dial } from '../../shared/rpc/client.ts';
import { DevCluster, netdOf } from '../support/dev-cluster.ts';
import { isRunning } from '../support/processes.ts';
import { get, until } from '../support/swarm.ts';
import { line, since, spread } from './report.ts';
import { untilProgress } from './watch.ts';

const TASK_RUNS = 5;
const POLL_MS = 2;

/** What a user sees of failures, on 3 + 2 local nodes. */
export async function failover(args: readonly string[]): Promise<void> {
  const runs = Number(args[0] ?? 20);
  const cluster = await DevCluster.up(3, 2);
  try {
    await leaderKilled(cluster, runs);
    await taskKilled(cluster);
    await netdKilled(cluster);
    await workerGone(cluster, 'reset');
    await workerGone(cluster, 'silent');
  } finally {
    await cluster.down();
  }
}

async function leaderKilled(cluster: DevCluster, runs: number): Promise<void> {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const leader = await cluster.leader('m1');
    const survivor = (await cluster.nodes()).find(
      (n) => n.role === 'manager' && n.name !== leader,
    )!;
    const client = dial(survivor.socket);
    const killedMs = performance.now();
    process.kill((await cluster.node(leader)).pid, 'SIGKILL');
    // The call is passed on to whoever leads, as soon as somebody does.
    await client.unary(
      ControlService.updateNode,
      { ref: survivor.name, labelAdd: { run: `${i}` } } as never,
      {
        timeoutMs: 20_000,
        requestId: `failover${i}`,
      },
    );
    times.push(since(killedMs));
    client.close();
    await cluster.dev('start', leader);
    await until('all managers to be reachable', async () => {
      const nodes = await cluster.rows<{ ManagerStatus: string }>('m1', ['node', 'ls']);
      const up = nodes.filter(
        (n) => n.ManagerStatus === 'Leader' || n.ManagerStatus === 'Reachable',
      );
      return up.length === 3 ? true : undefined;
    });
  }
  spread('leader killed: next accepted write', times, 'ms');
}

async function taskKilled(cluster: DevCluster): Promise<void> {
  await cluster.must('m1', [
    'service',
    'create',
    '--name',
    'one',
    '--restart-delay',
    '1s',
    ...user(),
    '--process',
    'sleep',
    '1000',
  ]);
  const client = dial((await cluster.node('m1')).socket);
  const times: number[] = [];
  for (let i = 0; i < TASK_RUNS; i++) {
    const [task] = await cluster.untilRunning('m1', 'one', 1);
    const pid = await pidOf(cluster, task!.ID, task!.Node);
    const startMs = performance.now();
    process.kill(pid, 'SIGKILL');
    await untilProgress(client, 'one', ({ tasks }) =>
      tasks.some(({ id, state }) => id !== task!.ID && state === TaskState.RUNNING),
    );
    times.push(since(startMs));
  }
  client.close();
  spread('task killed: replaced (restart delay 1000 ms)', times, 'ms');
  await cluster.must('m1', ['service', 'rm', 'one']);
}

async function netdKilled(cluster: DevCluster): Promise<void> {
  await cluster.must('m1', [
    'service',
    'create',
    '--name',
    'web',
    '--replicas',
    '2',
    '-p',
    '18080:80',
    ...user(),
    '--process',
    'hello',
  ]);
  const worker = await cluster.node('w1');
  const { host } = worker;
  await until('the published port', async () =>
    (await get(host, 18080)).status === 200 ? true : undefined,
  );
  const pid = netdOf(worker)!;
  const startMs = performance.now();
  process.kill(pid, 'SIGKILL');
  await until('the published port again', async () =>
    (await get(host, 18080)).status === 200 ? true : undefined,
  );
  line('netd killed: published port answers again', since(startMs), 'ms');
  await cluster.must('m1', ['service', 'rm', 'web']);
}

async function workerGone(cluster: DevCluster, how: 'reset' | 'silent'): Promise<void> {
  const name = `gone-${how}`;
  await cluster.must('m1', [
    'service',
    'create',
    '--name',
    name,
    '--replicas',
    '10',
    ...user(),
    '--process',
    'sleep',
    '1000',
  ]);
  await cluster.untilRunning('m1', name, 10);
  const worker = await cluster.node('w2');
  let startMs = performance.now();
  if (how === 'silent') process.kill(worker.pid, 'SIGSTOP');
  else {
    const ended = endOf(worker.pid);
    await cluster.dev('kill', 'w2', '--with-tasks');
    startMs = await ended;
  }
  const client = dial((await cluster.node('m1')).socket);
  await untilProgress(client, name, ({ tasks }) => {
    const elsewhere = tasks.filter((task) => task.nodeName !== 'w2');
    return elsewhere.filter((task) => task.state === TaskState.RUNNING).length === 10;
  });
  client.close();
  line(`worker gone (${how}): all replicas run elsewhere`, since(startMs), 'ms');
  if (how === 'silent') process.kill(worker.pid, 'SIGCONT');
  else await cluster.dev('start', 'w2');
  await cluster.must('m1', ['service', 'rm', name]);
}

/** When a process ended: the command that kills it takes a while before and after. */
async function endOf(pid: number): Promise<number> {
  while (isRunning(pid)) await wait(POLL_MS);
  return performance.now();
}

async function pidOf(cluster: DevCluster, taskId: string, node: string): Promise<number> {
  const text = await cluster.must(node, ['task', 'inspect', taskId]);
  const [task] = JSON.parse(text) as { Status: { PID: number } }[];
  return task!.Status.PID;
}

function user(): string[] {
  return process.getuid?.() === 0 ? ['--user', 'root'] : [];
}
