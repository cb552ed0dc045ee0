import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { DevCluster, netdOf } from '../support/dev-cluster.ts';
import { mustSwarm, swarm } from '../support/swarm.ts';
import { line, since, spread } from './report.ts';

const WINDOW_MS = 60_000;
/** Until the engine has compiled what an idle daemon runs: nobody's daemon is this young for long. */
const WARM_MS = 240_000;

/** Memory and CPU of idle daemons, per 100 tasks, and the start of the command line. */
export async function footprint(): Promise<void> {
  const cluster = await DevCluster.up(3, 2);
  try {
    await cliStart(cluster);
    await daemons(cluster, 'idle');
    const user = process.getuid?.() === 0 ? ['--user', 'root'] : [];
    await cluster.must('m1', [
      'service',
      'create',
      '--name',
      'web',
      '-p',
      '18080:80',
      ...user,
      '--process',
      'hello',
    ]);
    await cluster.must('m1', [
      'service',
      'create',
      '--name',
      'many',
      '--replicas',
      '100',
      ...user,
      '--process',
      'sleep',
      '100000',
    ]);
    await daemons(cluster, 'with 100 tasks');
  } finally {
    await cluster.down();
  }
}

async function cliStart(cluster: DevCluster): Promise<void> {
  const { socket } = await cluster.node('m1');
  const measure = async (args: readonly string[]): Promise<number[]> => {
    const times: number[] = [];
    for (let i = 0; i < 10; i++) {
      const startMs = performance.now();
      await mustSwarm(args, { env: { SWARM_SOCKET: socket } });
      times.push(since(startMs));
    }
    return times;
  };
  spread('swarm --help', await measure(['--help']), 'ms');
  spread('swarm node ls', await measure(['node', 'ls']), 'ms');
  await swarm(['version']);
}

async function daemons(cluster: DevCluster, when: string): Promise<void> {
  const nodes = await cluster.nodes();
  await wait(WARM_MS);
  const before = nodes.map((node) => [node.pid, netdOf(node)].map(cpuMs));
  await wait(WINDOW_MS);
  for (const [at, node] of nodes.entries()) {
    for (const [which, pid] of [node.pid, netdOf(node)].entries()) {
      if (pid === undefined) continue;
      const name = `${node.name} ${which === 0 ? 'swarmd' : 'netd'} ${when}`;
      const share = (cpuMs(pid) - before[at]![which]!) / WINDOW_MS;
      line(`${name}: RSS`, rssMb(pid), 'MB');
      line(`${name}: CPU`, share * 100, '% of a core');
    }
  }
}

/**
 * What all its threads ran, as the scheduler counted it. The ticks of `stat` are looked at 100 times a
 * second, which is too coarse for processes that wake up by timers.
 */
function cpuMs(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const tasks = `/proc/${pid}/task`;
  const ran = (thread: string): number =>
    Number(readFileSync(`${tasks}/${thread}/schedstat`, 'latin1').split(' ', 1)[0]);
  return readdirSync(tasks).reduce((sum, thread) => sum + ran(thread) / 1e6, 0);
}

function rssMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}
