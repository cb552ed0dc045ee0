import { type Random, SeededRandom } from '../../shared/random.ts';
import { FAULTS } from '../support/consensus/faults.ts';
import { ManagerHosts, missingForHosts } from '../support/consensus/hosts.ts';
import { randomFault } from '../support/consensus/random-fault.ts';
import { Trial } from '../support/consensus/trial.ts';

const TRIALS_PER_CLUSTER = 3;
const FAULTS_PER_TRIAL = 6;

/**
 * `npm run soak -- consensus [MINUTES] [SEED]`: three and five managers by turns, under the known
 * faults and random ones, until the time is over. Each trial begins with new registers and is judged
 * at its end. Rejects at the first that does not hold.
 */
export async function consensus(args: readonly string[]): Promise<void> {
  const missing = missingForHosts();
  if (missing !== '') throw new Error(missing);
  const minutes = Number(args[0] ?? 10);
  const seed = Number(args[1] ?? Math.floor(performance.timeOrigin) % 1_000_000);
  if (!Number.isFinite(minutes) || !Number.isInteger(seed))
    throw new Error('npm run soak -- consensus [MINUTES] [SEED]');
  const random = new SeededRandom(seed);
  const untilMs = performance.now() + minutes * 60_000;
  const total = { trials: 0, faults: 0, operations: 0 };
  console.log(`seed ${seed}, ${minutes} minutes`);
  for (let round = 0; performance.now() < untilMs; round++) {
    const cluster = await ManagerHosts.up(round % 2 === 0 ? 3 : 5);
    try {
      for (let n = 0; n < TRIALS_PER_CLUSTER && performance.now() < untilMs; n++) {
        const name = n === 0 ? 'first' : `t${n}`;
        await runTrial(cluster, name, random.stream(`trial ${round} ${n}`), total);
      }
    } finally {
      await cluster.down();
    }
  }
  const { trials, faults, operations } = total;
  console.log(`${trials} trials hold: ${faults} faults, ${operations} operations`);
}

async function runTrial(
  cluster: ManagerHosts,
  name: string,
  random: Random,
  total: { trials: number; faults: number; operations: number },
): Promise<void> {
  const trial = await Trial.begin(cluster, name, random);
  try {
    const known = FAULTS.filter(({ managers }) => managers <= cluster.hosts.length);
    for (let n = 0; n < FAULTS_PER_TRIAL; n++) {
      const isRandom = random.below(2) === 0;
      const fault = isRandom ? randomFault(random) : known[random.below(known.length)]!;
      console.log(`  ${cluster.hosts.length} managers: ${fault.name}`);
      await trial.run(fault);
      total.faults++;
    }
  } finally {
    await trial.end();
  }
  await trial.compare();
  total.trials++;
  total.operations += trial.load.recorded;
  console.log(`${trial.load.recorded} operations hold: ${JSON.stringify(trial.load.counts)}`);
}
