import { SeededRandom } from '../../shared/random.ts';
import { missingForContainers } from '../integration/containers/prerequisites.ts';
import { OverlayCluster } from '../support/overlay/cluster.ts';
import { faultRounds } from '../support/overlay/fault-rounds.ts';
import { updatesUnderLoad } from '../support/overlay/updates.ts';

const UPDATES = 20;
const PER_SECOND_EACH = 200;

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
    const random = new SeededRandom(seed);
    const say = (line: string): void => console.log(`  ${line}`);
    const faults = await faultRounds(cluster, random, minutes * 60_000, say);
    const { rounds, sent, lost, agreedMs } = faults;
    console.log(`${rounds} rounds of faults hold, agreed after ${Math.round(agreedMs)} ms at most`);
    console.log(`${sent} requests during faults, ${lost} lost`);
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
