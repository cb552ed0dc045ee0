import type { ManagerHost, ManagerHosts } from './hosts.ts';
import type { Load } from './load.ts';

/** Something that is done to the managers while clients work, and undone again. */
export interface Fault {
  readonly name: string;
  /** Voters that it needs. */
  readonly managers: 3 | 5;
  run(cluster: ManagerHosts, load: Load): Promise<void>;
}

/** What the clients get done before the next thing happens: the proof that a majority works. */
const SOME = 150;
const A_FEW = 20;

export const FAULTS: readonly Fault[] = [
  {
    name: 'the leader is killed',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      await cluster.kill(leader);
      await load.progress(SOME);
      await cluster.start(leader);
    },
  },
  {
    name: 'the leader stands still, is deposed, and wakes up with what clients asked it meanwhile',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      cluster.freeze(leader);
      await deposed(cluster, leader);
      await load.progress(SOME);
      cluster.thaw(leader);
      await load.progress(SOME);
    },
  },
  {
    name: 'the leader is cut off from all others',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      await cluster.cutBoth([leader], cluster.others(leader));
      await deposed(cluster, leader);
      await load.progress(SOME);
    },
  },
  {
    name: 'the leader hears nobody, and everybody hears it',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      await cluster.cut(cluster.others(leader), [leader]);
      await deposed(cluster, leader);
      await load.progress(SOME);
    },
  },
  {
    name: 'nobody hears the leader, and it hears everybody',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      await cluster.cut([leader], cluster.others(leader));
      await deposed(cluster, leader);
      await load.progress(SOME);
    },
  },
  {
    name: 'the leader and one follower do not reach each other, and both reach the rest',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      await cluster.cutBoth([leader], cluster.others(leader).slice(0, 1));
      await load.progress(2 * SOME);
    },
  },
  {
    name: 'a follower is cut off, comes back, and the leader is killed then',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      const [follower] = cluster.others(leader);
      await cluster.cutBoth([follower!], cluster.others(follower!));
      await load.progress(SOME);
      // From the one that is cut off, while the others go on: as old as they say.
      await load.staleReads(20);
      await cluster.heal();
      await load.progress(A_FEW);
      await cluster.kill(leader);
      await load.progress(SOME);
      await cluster.start(leader);
    },
  },
  {
    name: 'the leader stands still while the others are killed, and wakes up without a quorum',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      const others = cluster.others(leader);
      cluster.freeze(leader);
      await cluster.kill(...others);
      cluster.thaw(leader);
      await load.staleReads(5);
      await cluster.start(...others);
    },
  },
  {
    name: 'the leader ends in order',
    managers: 3,
    async run(cluster, load) {
      const leader = await cluster.leader();
      await cluster.stop(leader);
      await load.progress(SOME);
      await cluster.start(leader);
    },
  },
  {
    name: 'all are killed at once',
    managers: 3,
    async run(cluster) {
      await cluster.kill(...cluster.hosts);
      await cluster.start(...cluster.hosts);
    },
  },
  {
    name: 'the leader and a follower are cut off together',
    managers: 5,
    async run(cluster, load) {
      const leader = await cluster.leader();
      const minority = [leader, ...cluster.others(leader).slice(0, 1)];
      await cluster.cutBoth(minority, cluster.others(...minority));
      await deposed(cluster, leader);
      await load.progress(SOME);
    },
  },
  {
    name: 'the leader keeps a bare majority',
    managers: 5,
    async run(cluster, load) {
      const leader = await cluster.leader();
      const minority = cluster.others(leader).slice(0, 2);
      await cluster.cutBoth(minority, cluster.others(...minority));
      await load.progress(2 * SOME);
    },
  },
  {
    name: 'two halves meet only over one manager, which is not the leader',
    managers: 5,
    async run(cluster, load) {
      const leader = await cluster.leader();
      const [near, bridge, ...far] = cluster.others(leader);
      await cluster.cutBoth([leader, near!], far.slice(0, 2));
      await load.progress(SOME);
      await cluster.kill(bridge!);
      await load.staleReads(5);
      await cluster.start(bridge!);
    },
  },
  {
    name: 'each manager is deaf to its neighbour',
    managers: 5,
    async run(cluster, load) {
      const { hosts } = cluster;
      for (const [at, host] of hosts.entries())
        await cluster.cut([host], [hosts[(at + 1) % hosts.length]!]);
      await load.progress(2 * SOME);
    },
  },
  {
    name: 'the leader is killed and the next one stands still',
    managers: 5,
    async run(cluster, load) {
      const first = await cluster.leader();
      await cluster.kill(first);
      await load.progress(A_FEW);
      const second = await cluster.leader(cluster.others(first));
      cluster.freeze(second);
      await load.progress(SOME);
      cluster.thaw(second);
      await cluster.start(first);
    },
  },
  {
    name: 'the leader hears nobody while two followers are killed',
    managers: 5,
    async run(cluster, load) {
      const leader = await cluster.leader();
      const killed = cluster.others(leader).slice(0, 2);
      await cluster.cut(cluster.others(leader), [leader]);
      await cluster.kill(...killed);
      await load.staleReads(5);
      await cluster.start(killed[0]!);
      await load.progress(SOME);
      await cluster.start(killed[1]!);
    },
  },
  {
    name: 'one after the other is killed and started',
    managers: 5,
    async run(cluster, load) {
      for (const host of cluster.hosts) {
        await cluster.kill(host);
        await load.progress(A_FEW);
        await cluster.start(host);
        await load.progress(A_FEW);
      }
    },
  },
];

/** Resolves when another leads. */
async function deposed(cluster: ManagerHosts, leader: ManagerHost): Promise<void> {
  await cluster.leader(cluster.others(leader));
}
