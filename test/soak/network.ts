import { Liveness, TaskState } from '../../proto/index.ts';
import { SeededRandom } from '../../shared/random.ts';
import { missingForContainers } from '../integration/containers/prerequisites.ts';
import { agreed } from '../support/overlay/checker.ts';
import { OverlayCluster, type OverlayNode } from '../support/overlay/cluster.ts';
import { mend, randomFaults, SERVICES } from '../support/overlay/faults.ts';
import { updatesUnderLoad } from '../support/overlay/updates.ts';
import { until } from '../support/swarm.ts';

const UPDATES = 20;
const PER_SECOND_EACH = 200;
/** After which no node has a stale address, backend or port. */
const STALE_MS = 5_000;
const PUBLISHED = 8_080;

/**
 * `npm run soak -- network [MINUTES] [SEED]`: twenty updates of a published service of containers under
 * load, which may lose nothing; then random faults until the time is over. After each, every node must
 * have what the managers say. Rejects at the first that does not hold.
 */
export async function network(args: readonly string[]): Promise<void> {
  const missing = missingForContainers(['bridge', 'conntrack', 'setpriv']);
  if (missing !== '') throw new Error(missing);
  const minutes = Number(args[0] ?? 30);
  const seed = Number(args[1] ?? Math.floor(performance.timeOrigin) % 1_000_000);
  if (!Number.isFinite(minutes) || !Number.isInteger(seed))
    throw new Error('npm run soak -- network [MINUTES] [SEED]');
  console.log(`seed ${seed}, ${UPDATES} updates, ${minutes} minutes of faults`);
  const cluster = await OverlayCluster.up(3, ['--node-grace', '2s']);
  try {
    await underLoad(cluster);
    await underFaults(cluster, new SeededRandom(seed), minutes);
  } finally {
    await cluster.down();
  }
}

async function underLoad(cluster: OverlayCluster): Promise<void> {
  const result = await updatesUnderLoad(cluster, UPDATES, PER_SECOND_EACH, (version) =>
    console.log(`  update ${version}`),
  );
  const { sent, answered, lost, resent } = result;
  console.log(`${sent} requests, ${answered} answered, ${lost.length} lost, ${resent} sent again`);
  if (lost.length > 0) throw new Error(lost.slice(0, 40).join('\n'));
}

async function underFaults(
  cluster: OverlayCluster,
  random: SeededRandom,
  minutes: number,
): Promise<void> {
  await cluster.type('network', 'create', 'shared');
  for (const [at, name] of SERVICES.entries()) {
    const flags = ['--network', 'shared', '--replicas', '3', '-p', `${PUBLISHED + at}:8000`];
    await cluster.create(name, flags, { command: ECHO });
  }
  const untilMs = performance.now() + minutes * 60_000;
  let rounds = 0;
  for (; performance.now() < untilMs; rounds++) {
    const what = await randomFaults(cluster, random.stream(`round ${rounds}`));
    console.log(`  ${what}`);
    await mend(cluster);
    const via = await quiet(cluster);
    const ms = await agreed(cluster, via, STALE_MS);
    await answers(cluster);
    console.log(`  agreed after ${Math.round(ms)} ms`);
  }
  console.log(`${rounds} rounds of faults hold`);
}

/** A server that says something to whoever connects. */
const ECHO = ['httpd', '-f', '-p', '8000', '-h', '/www'];

/** Resolves with the leader when every node is ready and every task that is wanted runs. */
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
      const running = tasks.filter(({ state }) => state === TaskState.RUNNING).length;
      return ready && running === wanted && tasks.length === wanted ? via : undefined;
    },
    120_000,
  );
}

async function answers(cluster: OverlayCluster): Promise<void> {
  for (const [at] of SERVICES.entries())
    for (const { ip } of cluster.nodes)
      await until(
        `an answer of ${ip}`,
        async () => {
          const line = `busybox wget -qO- http://${ip}:${PUBLISHED + at}/`;
          const { stdout } = await cluster.hosts.sh(cluster.hosts.outside, line);
          return stdout.includes('hello from a container') || undefined;
        },
        STALE_MS,
      );
}
