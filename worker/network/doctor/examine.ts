import { type Init, type NetworkLookRequest, NodeNetwork } from '../../../proto/index.ts';
import { messageOf } from '../../../shared/errors.ts';
import { networkDigest } from '../../../shared/network-digest.ts';
import type { NetworkRows } from '../network.ts';
import { HOST, namespace, script } from '../router/netcmd.ts';
import type { Router } from '../router/router.ts';
import type { Surroundings } from '../router/surroundings.ts';
import { hostFacts } from './host-facts.ts';
import { type ProbeDeps, probePeers } from './probe.ts';

export interface ExamineDeps extends Omit<ProbeDeps, 'router'> {
  readonly router: Router;
  /** Why this node carries no networks; empty: it does. */
  readonly lacks: () => string;
}

/** What this node finds of its own network: its rows, the kernel, the host underneath, the ways out. */
export async function examineNetwork(
  deps: ExamineDeps,
  rows: NetworkRows,
  request: NetworkLookRequest,
): Promise<NodeNetwork> {
  const { peers = [], networks = [], networkServices = [] } = rows;
  const told = {
    index: rows.index,
    digest: networkDigest({ peers, networks, networkServices }),
    services: request.rows ? networkServices : [],
  };
  const reason = deps.lacks();
  if (reason !== '') return NodeNetwork.create({ tier: 'proxy', reason, ...told });
  const { router } = deps;
  const problem = await router.repair();
  const around = router.plan?.around;
  const found: Init<NodeNetwork> = {
    tier: 'overlay',
    ...told,
    problem,
    tunnelProblem: router.tunnelProblem,
    repaired: router.repaired,
  };
  if (around === undefined)
    return NodeNetwork.create({ ...found, probeProblem: 'no manager has named this node yet' });
  const facts = await hostFacts(deps.netcmd, around.self.dataAddress);
  return NodeNetwork.create({
    ...found,
    ...facts,
    ...(await trackedConnections(deps)),
    ...(request.probe ? await probes(deps) : {}),
    // A tunnel that was just made has shaken hands by now.
    ...(await tunnelAnswers(deps, around)),
  });
}

async function probes(deps: ExamineDeps): Promise<Init<NodeNetwork>> {
  const around = deps.router.plan!.around!;
  try {
    const probes = await probePeers({ ...deps, router: deps.router.names.router }, around);
    return { probes };
  } catch (error) {
    return { probeProblem: messageOf(error) };
  }
}

/** WireGuard changes its keys every two minutes; without new ones nothing passes after three. */
const SILENT_S = 180;

async function tunnelAnswers(deps: ExamineDeps, around: Surroundings): Promise<Init<NodeNetwork>> {
  const { tunnel } = deps.router.names;
  const input = `timeout 5 wg show ${tunnel} latest-handshakes 2>/dev/null && date +%s\n`;
  const { code, output } = await deps.netcmd.run(script(HOST, input));
  if (code !== 0) return {};
  const lines = output.trim().split('\n');
  const nowS = Number(lines.at(-1));
  const byKey = new Map([...around.peers.values()].map((peer) => [peer.wireguardKey, peer.nodeId]));
  const peers = lines.slice(0, -1).flatMap((line) => {
    const [key = '', atS] = line.split(/\s+/);
    const nodeId = byKey.get(key);
    return nodeId === undefined ? [] : [{ nodeId, isSilent: nowS - Number(atS) > SILENT_S }];
  });
  return {
    tunnelPeers: peers.map(({ nodeId }) => nodeId),
    tunnelSilent: peers.filter(({ isSilent }) => isSilent).map(({ nodeId }) => nodeId),
  };
}

async function trackedConnections(deps: ExamineDeps): Promise<Init<NodeNetwork>> {
  const place = namespace(deps.router.names.router);
  const input = 'cd /proc/sys/net/netfilter && cat nf_conntrack_count nf_conntrack_max\n';
  const { code, output } = await deps.netcmd.run(script(place, input));
  const [connections = 0, connectionsMax = 0] = output.trim().split('\n').map(Number);
  return code === 0 ? { connections, connectionsMax } : {};
}
