import type { Random } from '../../../shared/random.ts';
import type { Fault } from './faults.ts';
import type { ManagerHost, ManagerHosts } from './hosts.ts';

const STEPS = 6;
const STEP_MS = 1_500;

/** Kills, pauses, cuts and repairs in an order that nobody thought of; a majority is not kept. */
export function randomFault(random: Random): Fault {
  const steps = Array.from({ length: 1 + random.below(STEPS) }, () => ({
    what: random.below(6),
    who: random.below(1_000),
    whom: random.below(1_000),
    forMs: random.below(STEP_MS),
  }));
  const words = ['kill', 'start', 'freeze', 'thaw', 'cut one way', 'heal'];
  return {
    name: `at random: ${steps.map(({ what }) => words[what]).join(', ')}`,
    managers: 3,
    async run(cluster) {
      for (const { what, who, whom, forMs } of steps) {
        const { hosts } = cluster;
        await ACTS[what]!(cluster, hosts[who % hosts.length]!, hosts[whom % hosts.length]!);
        await new Promise((resolve) => setTimeout(resolve, forMs));
      }
    },
  };
}

type Act = (cluster: ManagerHosts, who: ManagerHost, whom: ManagerHost) => Promise<void>;

const ACTS: readonly Act[] = [
  async (cluster, who) => {
    if (cluster.pid(who) !== undefined) await cluster.kill(who);
  },
  async (cluster, who) => {
    if (cluster.pid(who) === undefined) await cluster.start(who);
  },
  async (cluster, who) => {
    if (cluster.pid(who) !== undefined) cluster.freeze(who);
  },
  async (cluster, who) => {
    if (cluster.pid(who) !== undefined) cluster.thaw(who);
  },
  async (cluster, who, whom) => {
    if (who !== whom) await cluster.cut([who], [whom]);
  },
  (cluster) => cluster.heal(),
];
