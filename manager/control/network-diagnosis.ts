import {
  type DiagnoseNetworkRequest,
  DiagnoseNetworkResponse,
  type Network,
  NetworkFinding,
  NetworkLookRequest,
  NetworkService,
  NodeDiagnosis,
  NodeNetwork,
} from '../../proto/index.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { networkDigest } from '../../shared/network-digest.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import {
  attachedNetwork,
  isReachable,
  networkPeer,
  networkServices,
} from '../dispatcher/network-messages.ts';
import { poolsOf } from '../loop/addressing/free-subnet.ts';
import { INGRESS } from '../loop/addressing/predefined.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import type { Examined } from './doctor/finding.ts';
import { judge, type KnownNetwork } from './doctor/judge.ts';
import type { FreshReads } from './freshness.ts';
import { resolveNetwork, resolveNode } from './resolve.ts';
import { networkName } from './specs.ts';

/** Asks nodes what they find of their network, all at once, and says what is wrong. */
export class NetworkDiagnosis {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async diagnose(
    request: DiagnoseNetworkRequest,
    context: CallContext,
  ): Promise<DiagnoseNetworkResponse> {
    await this.#reads.before(context.consistency);
    const { store, selfNodeId } = this.#deps;
    const { view } = store;
    const network = request.network === '' ? undefined : resolveNetwork(view, request.network);
    const one = request.ref === '' ? undefined : resolveNode(view, request.ref, selfNodeId);
    const asked = network === undefined ? allNodes(view) : nodesOn(view, network);
    const look = NetworkLookRequest.create({
      probe: !request.noProbes && network === undefined,
      rows: network !== undefined,
    });
    const nodes = await Promise.all(asked.map((id) => this.#examine(id, look, context.signal)));
    const shown = one === undefined ? nodes : nodes.filter(({ id }) => id === one.id);
    const found = judge(nodes, knownNetworks(view));
    const findings = found.filter(
      ({ nodeName, text }) => one === undefined || nodeName === one.name || text.includes(one.name),
    );
    return DiagnoseNetworkResponse.with(DiagnoseNetworkResponse.create(), {
      nodes: shown.map((node) => diagnosisOf(view, node, network)),
      findings: findings.map((each) => NetworkFinding.create(each)),
    });
  }

  /** What is on its way to a node while it is asked is no difference. */
  async #examine(id: string, look: NetworkLookRequest, signal: AbortSignal): Promise<Examined> {
    const { store } = this.#deps;
    const before = expectedDigest(store.view, id);
    let network: NodeNetwork | undefined;
    let error = '';
    try {
      network = await this.#ask(id, look, signal);
    } catch (failure) {
      error = messageOf(failure);
    }
    const { view } = store;
    const digest = Buffer.from(network?.digest ?? []);
    const current = digest.equals(before) || digest.equals(expectedDigest(view, id));
    const description = view.table('nodeStatus').get(id)?.description;
    const noKey = description?.wireguardKey === '';
    return {
      id,
      name: view.table('node').get(id)?.name ?? id,
      network,
      error,
      current,
      toldMtu: description?.mtu ?? 0,
      dataAddress: description?.dataAddress ?? '',
      dataPort: poolsOf(view).dataPort,
      noEncryption: noKey ? (description.features['encryption-reason'] ?? 'no WireGuard') : '',
    };
  }
  async #ask(id: string, look: NetworkLookRequest, signal: AbortSignal): Promise<NodeNetwork> {
    const { dispatcher, clock } = this.#deps;
    if (!dispatcher.reachable(id)) throw new SwarmError('NO_ANSWER', 'it has no session');
    const silence = new AbortController();
    const timer = clock.setTimer(LIMITS.networkLookMs, () => silence.abort());
    try {
      return await dispatcher.lookAtNetwork(id, look, AbortSignal.any([signal, silence.signal]));
    } finally {
      timer.cancel();
    }
  }
}

function allNodes(view: View): readonly string[] {
  return [...view.table('node').all()].map(({ id }) => id);
}

function nodesOn(view: View, network: Network): readonly string[] {
  const tasks = [...view.table('task').by('network', network.id)];
  return [...new Set(tasks.filter((task) => isReachable(view, task)).map((task) => task.nodeId))];
}

/** Of all that a node is told of networks. */
function expectedDigest(view: View, nodeId: string): Uint8Array {
  const ids = new Set([INGRESS]);
  for (const task of view.table('task').by('node', nodeId))
    if (isReachable(view, task)) for (const { networkId } of task.attachments) ids.add(networkId);
  const services = [...view.table('service').all()].flatMap(({ id }) => [
    ...networkServices(view, id).values(),
  ]);
  return networkDigest({
    peers: allNodes(view).flatMap((id) => networkPeer(view, id) ?? []),
    networks: [...ids].flatMap((id) => attachedNetwork(view, id) ?? []),
    networkServices: services.filter(({ networkId }) => ids.has(networkId)),
  });
}

function knownNetworks(view: View): readonly KnownNetwork[] {
  return [...view.table('network').all()].map((network) => ({
    name: networkName(network),
    subnets: (view.table('networkState').get(network.id)?.subnets ?? []).map(({ cidr }) => cidr),
    encrypted: network.spec?.encrypted ?? false,
  }));
}

function diagnosisOf(view: View, node: Examined, network: Network | undefined): NodeDiagnosis {
  const { id, name, error, current } = node;
  const services = (node.network?.services ?? []).filter(
    ({ networkId }) => networkId === network?.id,
  );
  const stale = network && node.network ? staleServices(view, network, services) : [];
  const base = NodeDiagnosis.create({ nodeId: id, nodeName: name, error, current, stale });
  if (node.network === undefined) return base;
  return NodeDiagnosis.with(base, { network: NodeNetwork.with(node.network, { services }) });
}

/** Names of services of which a node has other rows than the managers, or none. */
function staleServices(
  view: View,
  network: Network,
  has: readonly NetworkService[],
): readonly string[] {
  const wanted = [...view.table('service').all()].flatMap(({ id }) => {
    const row = networkServices(view, id).get(network.id);
    return row === undefined ? [] : [row];
  });
  const bytes = (row: NetworkService): string =>
    Buffer.from(NetworkService.encode(row)).toString('base64');
  const there = new Map(has.map((row) => [row.id, row]));
  const should = new Map(wanted.map((row) => [row.id, row]));
  const differ = [...new Set([...there.keys(), ...should.keys()])].filter((id) => {
    const [a, b] = [there.get(id), should.get(id)];
    return a === undefined || b === undefined || bytes(a) !== bytes(b);
  });
  return differ.map((id) => (should.get(id) ?? there.get(id))!.serviceName).sort();
}
