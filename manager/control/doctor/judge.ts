import type { NodeNetwork } from '../../../proto/index.ts';
import { overlaps, type Prefix, parsePrefix } from '../../../shared/prefix.ts';
import { type Examined, type Finding, finding } from './finding.ts';
import { pathFindings, tunnelFindings } from './judge-paths.ts';

/** A network of the cluster and its subnets. */
export interface KnownNetwork {
  readonly name: string;
  readonly subnets: readonly string[];
  readonly encrypted: boolean;
}

/** Everything that is not as it should be, worst first; nothing: all is well. Notes are no faults. */
export function judge(
  nodes: readonly Examined[],
  networks: readonly KnownNetwork[],
): readonly Finding[] {
  const findings = [
    ...nodes.flatMap((node) => nodeFindings(node, networks)),
    ...pathFindings(nodes),
    ...tunnelFindings(nodes),
  ];
  const rank = (severity: string): number => ['error', 'warning', 'note'].indexOf(severity);
  return findings.sort((a, b) => rank(a.severity) - rank(b.severity));
}

function nodeFindings(node: Examined, networks: readonly KnownNetwork[]): readonly Finding[] {
  const { network } = node;
  if (network === undefined)
    return [
      finding('error', 'answer', node, `it does not answer: ${node.error}`, {
        advice: 'See whether the machine is up and its daemon runs.',
        command: `swarm why ${node.name}`,
      }),
    ];
  if (network.tier !== 'overlay')
    return [
      finding('note', 'kernel', node, `it carries no networks: ${network.reason}`, {
        advice:
          'Put that right if it is to carry them (deploy/install-deps has the programs): it tries again ' +
          'every minute.',
      }),
    ];
  return [
    ...rowFindings(node, network),
    ...kernelFindings(node, network),
    ...underlayFindings(node, network),
    ...overlapFindings(node, network, networks),
    ...encryptionFindings(node, networks),
  ];
}

function rowFindings(node: Examined, { index }: NodeNetwork): readonly Finding[] {
  if (node.current) return [];
  const text = `its services, peers or networks are not the managers': it stands at ${index}`;
  return [
    finding('error', 'rows', node, text, {
      advice: 'It catches up within seconds when it hears the leader; else restart its daemon.',
      command: `swarm why ${node.name}`,
    }),
  ];
}

function kernelFindings(node: Examined, network: NodeNetwork): readonly Finding[] {
  const found: Finding[] = [];
  const { problem, tunnelProblem, repaired, connections, connectionsMax } = network;
  if (problem !== '')
    found.push(
      finding('error', 'state', node, `it could not build its network: ${problem}`, {
        advice: 'It tries again by itself; the log of its daemon has the command that failed.',
      }),
    );
  if (tunnelProblem !== '')
    found.push(
      finding('error', 'encryption', node, `encrypted networks are cut off: ${tunnelProblem}`, {
        advice: 'See that wg and, without WireGuard in the kernel, wireguard-go run there.',
      }),
    );
  if (repaired > 0)
    found.push(
      finding('warning', 'state', node, `${things(repaired)} been changed by somebody else`, {
        advice:
          'They were put right just now. Find the program that removes devices, routes or tables ' +
          'it does not know (a firewall that flushes all rules, a network manager).',
      }),
    );
  if (connectionsMax > 0 && connections >= 0.8 * connectionsMax)
    found.push(
      finding(
        'warning',
        'connections',
        node,
        `the kernel tracks ${connections} connections of at most ${connectionsMax}`,
        {
          advice: 'Beyond that new ones are dropped: raise the limit.',
          command: `sysctl -w net.netfilter.nf_conntrack_max=${2 * connectionsMax}`,
        },
      ),
    );
  return found;
}

function underlayFindings(node: Examined, network: NodeNetwork): readonly Finding[] {
  const found: Finding[] = [];
  const { device, mtu, driver, checksumOffload, dropping } = network;
  if (device === '')
    found.push(
      finding('error', 'address', node, `no device of it has ${node.dataAddress} any more`, {
        advice: 'Give the node its new address.',
        command: 'swarm stop && swarm start --advertise-addr ADDRESS',
      }),
    );
  else if (node.toldMtu > 0 && mtu !== node.toldMtu)
    found.push(
      finding('error', 'mtu', node, `${device} has an MTU of ${mtu}, not ${node.toldMtu} as told`, {
        advice:
          'Set it back, or stop and start the node, which tells the new one; networks made then fit it.',
        command: `ip link set ${device} mtu ${node.toldMtu}`,
      }),
    );
  if (driver === 'vmxnet3' && checksumOffload)
    found.push(
      finding('warning', 'offload', node, `${device} (vmxnet3) may break checksums inside VXLAN`, {
        advice: 'Let the kernel make them.',
        command: `ethtool -K ${device} tx-checksum-ip-generic off`,
      }),
    );
  for (const chain of dropping) {
    const [family = '', table = '', name = '', hook = ''] = chain.split(' ');
    // What iptables forwards is met by rules of ours, which are put first.
    const isIptables = /^ip6?$/.test(family) && table === 'filter';
    if (hook !== 'forward' || isIptables) continue;
    const words = `nft insert rule ${family} ${table} ${name}`;
    found.push(
      finding(
        'error',
        'firewall',
        node,
        `chain ${name} of table ${family} ${table} drops what is forwarded: containers get neither out nor in`,
        {
          advice: "Let the node's own link pass (swu and 8 characters), in both directions.",
          command: `${words} iifname "swu*" accept; ${words} oifname "swu*" accept`,
        },
      ),
    );
  }
  return found;
}

function overlapFindings(
  node: Examined,
  network: NodeNetwork,
  networks: readonly KnownNetwork[],
): readonly Finding[] {
  const routes = network.routes.flatMap((text) => parsed(text));
  return networks.flatMap(({ name, subnets }) =>
    subnets.flatMap((subnet) => {
      const own = parsed(subnet)[0];
      const hit = routes.find((one) => own !== undefined && overlaps(one.prefix, own.prefix));
      if (hit === undefined) return [];
      const text = `network ${name} (${subnet}) overlaps ${hit.text}, which it routes itself`;
      return [
        finding('error', 'overlap', node, text, {
          advice: 'Containers reach one of the two: make the network anew with another subnet.',
          command: 'swarm network create --subnet SUBNET NAME',
        }),
      ];
    }),
  );
}

function encryptionFindings(node: Examined, networks: readonly KnownNetwork[]): readonly Finding[] {
  if (node.noEncryption === '' || !networks.some(({ encrypted }) => encrypted)) return [];
  const text = `it runs no tasks of encrypted networks: ${node.noEncryption}`;
  return [
    finding('note', 'encryption', node, text, {
      advice: 'Install wireguard-tools, and wireguard-go where the kernel has no WireGuard.',
    }),
  ];
}

function parsed(text: string): readonly { readonly text: string; readonly prefix: Prefix }[] {
  const prefix = parsePrefix(text);
  return prefix === undefined ? [] : [{ text, prefix }];
}

function things(count: number): string {
  return count === 1 ? 'one thing of its network had' : `${count} things of its network had`;
}
