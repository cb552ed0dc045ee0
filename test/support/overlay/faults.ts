import type { Random } from '../../../shared/random.ts';
import { isRunning } from '../processes.ts';
import { until } from '../swarm.ts';
import type { OverlayCluster, OverlayNode } from './cluster.ts';

/** What somebody, or bad luck, does to a node or to services. It may leave a node dead or cut off. */
export interface NetworkFault {
  readonly name: string;
  run(cluster: OverlayCluster, node: OverlayNode, random: Random): Promise<void>;
}

/** Nobody looks at what these say: a device may be gone already, a manager away. */
const inRouter = (line: string) => (cluster: OverlayCluster, node: OverlayNode) =>
  cluster.inRouter(node, line).then(
    () => undefined,
    () => undefined,
  );
const onHost = (line: string) => (cluster: OverlayCluster, node: OverlayNode) =>
  cluster.sh(node, line).then(
    () => undefined,
    () => undefined,
  );
const firstDevice = (kind: string): string =>
  `$(ip -o link | grep -o "${kind}[a-z0-9-]*" | head -1)`;

const NETWORK_FAULTS: readonly NetworkFault[] = [
  { name: 'flush the host’s rules', run: onHost('nft flush ruleset') },
  { name: 'flush the router’s rules', run: inRouter('nft flush ruleset') },
  { name: 'flush routes', run: inRouter('ip route flush table main proto 83') },
  { name: 'flush neighbours', run: inRouter('ip neigh flush nud permanent') },
  { name: 'delete a network’s device', run: inRouter(`ip link del ${firstDevice('swx')}`) },
  { name: 'delete the ingress device', run: inRouter('ip link del swing') },
  { name: 'take a container’s link down', run: inRouter(`ip link set ${firstDevice('swe')} down`) },
  { name: 'delete the uplink', run: onHost(`ip link del ${firstDevice('swu')}`) },
  {
    name: 'kill the daemon',
    async run(cluster, node) {
      if (cluster.pid(node) !== undefined) await cluster.kill(node);
    },
  },
  {
    name: 'kill netd',
    async run(cluster, node) {
      const pid = cluster.netd(node);
      if (pid === undefined) return;
      process.kill(pid, 'SIGKILL');
      await until('its end', () => !isRunning(pid) || undefined);
    },
  },
  { name: 'cut it off', run: (cluster, node) => cluster.cut(node).catch(() => undefined) },
  {
    name: 'scale',
    async run(cluster, node, random) {
      const [service, replicas] = [SERVICES[random.below(2)]!, 1 + random.below(6)];
      await cluster.swarm(node, ['service', 'scale', '-d', `${service}=${replicas}`]);
    },
  },
  {
    name: 'update',
    async run(cluster, node, random) {
      const change = ['--env-add', `V=${random.below(1_000_000)}`];
      await cluster.swarm(node, ['service', 'update', '-d', ...change, SERVICES[random.below(2)]!]);
    },
  },
];

/** The services that faults are done to; all are on one network and published. */
export const SERVICES = ['a', 'b'] as const;
const STEPS = 5;
const STEP_MS = 2_000;

/** A few of them, one after the other, on nodes that nobody chose. */
export async function randomFaults(cluster: OverlayCluster, random: Random): Promise<string> {
  const done: string[] = [];
  for (let step = 1 + random.below(STEPS); step > 0; step--) {
    const fault = NETWORK_FAULTS[random.below(NETWORK_FAULTS.length)]!;
    const node = cluster.nodes[random.below(cluster.nodes.length)]!;
    done.push(`${node.name}: ${fault.name}`);
    await fault.run(cluster, node, random);
    await new Promise((resolve) => setTimeout(resolve, random.below(STEP_MS)));
  }
  return done.join(', ');
}

/** Every daemon runs, and nobody is cut off. */
export async function mend(cluster: OverlayCluster): Promise<void> {
  await Promise.all(
    cluster.nodes.map(async (node) => {
      await cluster.heal(node).catch(() => undefined);
      if (cluster.pid(node) === undefined) await cluster.start(node);
    }),
  );
}
