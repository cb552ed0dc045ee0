import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { DevCluster, netdOf } from '../support/dev-cluster.ts';
import { mustSwarm, swarm } from '../support/swarm.ts';
import { line, since, spread } from './report.ts';

const TICKS_PER_SECOND = 100;
const WINDOW_MS = 30_000;
/** Until the engine has compiled what an idle daemon runs: nobody's daemon is this young for long. */
const WARM_MS = 180_000;

/** Memory and CPU of idle daemons, per 100 tasks, and the start of the command line. */
export async function footprint(): Promise<void> {
  const cluster = await DevCluster.up(3, 2);
  try {
    await cliStart(cluster);
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
    await daemons(cluster, 'idle');
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
  const before = nodes.map((node) => [node.pid, netdOf(node)].map(cpuTicks));
  await wait(WINDOW_MS);
  for (const [at, node] of nodes.entries()) {
    for (const [which, pid] of [node.pid, netdOf(node)].entries()) {
      if (pid === undefined) continue;
      const name = `${node.name} ${which === 0 ? 'swarmd' : 'netd'} ${when}`;
      const share = (cpuTicks(pid) - before[at]![which]!) / TICKS_PER_SECOND / (WINDOW_MS / 1000);
      line(`${name}: RSS`, rssMb(pid), 'MB');
      line(`${name}: CPU`, share * 100, '% of a core');
    }
  }
}

function cpuTicks(pid: number | undefined): number {
  if (pid === undefined) return 0;
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function rssMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
}
