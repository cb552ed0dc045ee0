import { Liveness, TaskState } from '../../../proto/index.ts';
import type { Random } from '../../../shared/random.ts';
import { until } from '../swarm.ts';
import { agreed } from './checker.ts';
import type { OverlayCluster, OverlayNode } from './cluster.ts';
import { mend, randomFaults, SERVICES } from './faults.ts';
import { LoadFrom } from './load.ts';

/** After which no node has a stale address, backend or port. */
const STALE_MS = 5_000;
const PUBLISHED = 8_080;
const PER_SECOND_EACH = 20;
const CALM_MS = 500;

export interface FaultRounds {
  readonly rounds: number;
  /** Requests while there were faults, and how many of them got no answer. */
  readonly sent: number;
  readonly lost: number;
  /** The longest that nodes took to agree after a round. */
  readonly agreedMs: number;
}

/**
 * Random faults under load, round after round, until the time is over. After each, every node must have
 * within five seconds what the managers say, and then no request may be lost. Rejects at the first
 * round that does not hold.
 */
export async function faultRounds(
  cluster: OverlayCluster,
  random: Random,
  forMs: number,
  say: (line: string) => void,
): Promise<FaultRounds> {
  await cluster.type('network', 'create', 'shared');
  for (const [at, name] of SERVICES.entries()) {
    const port = ['-p', `${PUBLISHED + at}:8000`];
    const ready = ['--ready-tcp', ':8000', '--ready-interval', '100ms'];
    const flags = ['--network', 'shared', '--replicas', '3', ...port, ...ready];
    await cluster.create(name, flags, { command: ECHO });
  }
  await quiet(cluster);
  const endMs = performance.now() + forMs;
  const seen = { rounds: 0, sent: 0, lost: 0, agreedMs: 0 };
  for (; performance.now() < endMs; seen.rounds++) {
    const load = loadOn(cluster);
    const what = await randomFaults(cluster, random.stream(`round ${seen.rounds}`));
    const { sent, lost } = await load.stop();
    seen.sent += sent;
    seen.lost += lost.length;
    say(`${what}: ${lost.length} of ${sent} lost`);
    await mend(cluster);
    const via = await quiet(cluster);
    const ms = await agreed(cluster, via, STALE_MS);
    seen.agreedMs = Math.max(seen.agreedMs, ms);
    await calm(cluster, what);
    say(`agreed after ${Math.round(ms)} ms`);
  }
  return seen;
}

/** A server that says something to whoever connects. */
const ECHO = ['httpd', '-f', '-p', '8000', '-h', '/www'];

function loadOn(cluster: OverlayCluster): LoadFrom {
  const targets = cluster.nodes.flatMap(({ ip }) =>
    SERVICES.map((_, at) => ({ host: ip, port: PUBLISHED + at })),
  );
  return new LoadFrom(cluster.hosts.outside, targets, PER_SECOND_EACH, '/');
}

async function calm(cluster: OverlayCluster, after: string): Promise<void> {
  const load = loadOn(cluster);
  await new Promise((resolve) => setTimeout(resolve, CALM_MS));
  const { lost } = await load.stop();
  if (lost.length > 0) throw new Error(`lost after ${after}:\n${lost.slice(0, 20).join('\n')}`);
}

/** Resolves with the leader when every node is ready, and every task that is wanted runs and is. */
function quiet(cluster: OverlayCluster): Promise<OverlayNode> {
  return until(
    'all nodes and tasks',
    async () => {
      const leaders = cluster.nodes.map((node) => cluster.api(node).leader());
      const name = await Promise.any(leaders);
      const via = cluster.nodes.find((node) => node.name === name)!;
      const api = cluster.api(via);
      const nodes = await api.nodes();
      const tasks = (await api.allTasks()).filter(
        ({ task, state }) => task?.desiredState === TaskState.RUNNING || state < TaskState.RUNNING,
      );
      const services = await api.services();
      const wanted = services.reduce((sum, { desired }) => sum + desired, 0);
      const ready = nodes.every(({ status }) => status?.liveness === Liveness.READY);
      const running = tasks.filter(
        ({ state, status }) => state === TaskState.RUNNING && status?.ready,
      ).length;
      return ready && running === wanted && tasks.length === wanted ? via : undefined;
    },
    120_000,
  );
}
