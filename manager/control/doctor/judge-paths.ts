import type { NodeNetwork, PeerProbe } from '../../../proto/index.ts';
import { type Examined, type Finding, finding } from './finding.ts';

interface Carrier extends Examined {
  readonly network: NodeNetwork;
}

/** What does not get through between nodes, one finding a direction, with where it is lost. */
export function pathFindings(nodes: readonly Examined[]): readonly Finding[] {
  const carriers = nodes.filter(
    (node): node is Carrier => node.network?.tier === 'overlay' && node.network.probes.length > 0,
  );
  const unable = nodes.filter(({ network }) => network && network.probeProblem !== '');
  const byId = new Map(carriers.map((node) => [node.id, node]));
  return [
    ...unable.map((node) =>
      finding('warning', 'path', node, `nothing was sent: ${node.network!.probeProblem}`, {
        advice: 'Ask again; the log of its daemon may say more.',
      }),
    ),
    ...carriers.flatMap((from) =>
      from.network.probes.flatMap((probe) => {
        const to = byId.get(probe.nodeId);
        // Who took no part could not answer.
        return to === undefined ? [] : onePath(from, to, probe);
      }),
    ),
  ];
}

/** From one node to another. An answer comes back the other way, so silence alone blames neither. */
function onePath(from: Carrier, to: Carrier, probe: PeerProbe): readonly Finding[] {
  const { sent, answered } = probe;
  const largest = Math.max(0, ...sent);
  if (answered.length === sent.length) return [];
  if (answered.length > 0) return [tooLarge(from, to, largest, Math.max(...answered))];
  const arrival = to.network.probes.find(({ nodeId }) => nodeId === from.id);
  const udp = `UDP ${to.dataPort}`;
  const way = `${udp} from ${from.name} (${from.dataAddress}) to ${to.name} (${to.dataAddress})`;
  if (!probe.left)
    return [
      finding('error', 'data-port', from, `${way}: it does not leave ${from.name}`, {
        advice: `A filter for outgoing packets, or a missing route.${chains(from, 'output')}`,
        command: `ip route get ${to.dataAddress}`,
      }),
    ];
  if (arrival?.heard !== true)
    return [
      finding('error', 'data-port', to, `${way}: it is lost on the way`, {
        advice: `Open ${udp} in the firewalls between the two (security groups of a cloud).`,
      }),
    ];
  if (!arrival.passed)
    return [
      finding('error', 'firewall', to, `${way}: a filter of ${to.name} drops it`, {
        advice: `Let ${udp} from the cluster's nodes in.${chains(to, 'input')}`,
        command: `nft list ruleset`,
      }),
    ];
  // It arrives: what is missing is the answer, and the other direction says why.
  return [];
}

/** Above the data port; that between them carries what comes out of the tunnel. */
const TUNNEL_PORT = 2;

/** Nodes that both have a tunnel, and hear nothing of each other through it: one finding a pair. */
export function tunnelFindings(nodes: readonly Examined[]): readonly Finding[] {
  const isSilent = (from: Examined, to: Examined): boolean =>
    from.network?.tunnelSilent.includes(to.id) ?? false;
  return nodes.flatMap((one, at) =>
    nodes.slice(at + 1).flatMap((other) => {
      const both =
        one.network?.tunnelPeers.includes(other.id) && other.network?.tunnelPeers.includes(one.id);
      if (!both || !(isSilent(one, other) || isSilent(other, one))) return [];
      const udp = `UDP ${other.dataPort + TUNNEL_PORT}`;
      const way = `between ${one.name} (${one.dataAddress}) and ${other.name} (${other.dataAddress})`;
      return finding('error', 'encryption', one, `WireGuard gets no answer ${way}`, {
        advice: `Let ${udp} pass in both directions: in the firewalls of both, and of what is between them.`,
      });
    }),
  );
}

function tooLarge(from: Carrier, to: Carrier, largest: number, got: number): Finding {
  const way = `from ${from.name} to ${to.name}`;
  return finding('error', 'mtu', from, `packets of ${largest} bytes are lost ${way}, ${got} pass`, {
    advice:
      'Something between the two takes less than the devices at both ends say: give these its MTU ' +
      'and start the nodes anew, or make networks with a smaller one.',
    command: `swarm network create -o mtu=${got} NAME`,
  });
}

/** Chains that drop by default there, as a hint. */
function chains({ network }: Carrier, hook: string): string {
  const found = network.dropping.filter((chain) => chain.endsWith(` ${hook}`));
  return found.length === 0 ? '' : ` By default drops: ${found.join(', ')}.`;
}
