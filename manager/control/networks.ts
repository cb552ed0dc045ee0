import {
  type CreateNetworkRequest,
  Empty,
  type GetNetworkRequest,
  GetNetworkResponse,
  ListNetworksResponse,
  type ListRequest,
  Network,
  type NetworkPeer,
  type NetworkService,
  NetworkSpec,
  type NetworkView,
  PruneNetworksResponse,
  type Ref,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { formatPrefix, overlaps, type Prefix, parsePrefix } from '../../shared/prefix.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { isReachable, networkPeer, networkServices } from '../dispatcher/network-messages.ts';
import { nodeRoutes } from '../loop/addressing/free-subnet.ts';
import { isPredefined } from '../loop/addressing/predefined.ts';
import type { Draft, View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { compileFilters, hasLabel } from './filters.ts';
import { type FreshReads, findIn } from './freshness.ts';
import { fullNetworkView, networkView, nodeLocalViews } from './network-views.ts';
import { resolveNetwork, taskName } from './resolve.ts';
import { networkName, serviceName } from './specs.ts';
import { acceptedNetwork } from './validate-network.ts';
import { write } from './writes.ts';

/** Networks: create, list, look at, remove. A network is never changed. */
export class Networks {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async create(request: CreateNetworkRequest, context: CallContext): Promise<NetworkView> {
    const spec = acceptedNetwork(request.spec ?? NetworkSpec.create());
    const { id } = await write(this.#deps, context, (draft) => {
      refuseTakenName(draft, spec.name);
      for (const { cidr } of spec.subnets) refuseTakenSubnet(draft, parsePrefix(cidr)!);
      const id = draft.newId();
      const row = Network.create({ id, createdWallMs: draft.wallMs });
      draft.put('network', Network.with(row, { spec }));
      emit(draft, 'create', id, spec.name);
      return { id };
    });
    const { view } = this.#deps.store;
    const network = view.table('network').get(id);
    if (network !== undefined) return fullNetworkView(view, network);
    throw new SwarmError('NOT_FOUND', `the network ${spec.name} was removed meanwhile`);
  }

  async list(request: ListRequest, context: CallContext): Promise<ListNetworksResponse> {
    const passes = compileFilters(request.filters, FILTERS);
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const rows = [...view.table('network').all()].map((network) => networkView(view, network));
    const networks = [...nodeLocalViews(), ...rows].filter(passes).sort(byName);
    return ListNetworksResponse.with(ListNetworksResponse.create(), { networks, freshness });
  }

  async get(request: GetNetworkRequest, context: CallContext): Promise<GetNetworkResponse> {
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const local = nodeLocalViews().find(({ network }) => network!.id === request.ref);
    const base = GetNetworkResponse.create();
    if (local !== undefined) return GetNetworkResponse.with(base, { network: local, freshness });
    const network = findIn(freshness, () => resolveNetwork(view, request.ref));
    return GetNetworkResponse.with(base, {
      network: fullNetworkView(view, network),
      services: request.verbose ? servicesOn(view, network) : [],
      peers: request.verbose ? peersOn(view, network) : [],
      freshness,
    });
  }

  async remove(request: Ref, context: CallContext): Promise<Empty> {
    await write(this.#deps, context, (draft) => {
      refusePredefined(request.ref);
      const network = resolveNetwork(draft, request.ref);
      refusePredefined(networkName(network));
      const user = userOf(draft, network);
      if (user !== undefined) throw inUse(network, user);
      removeNow(draft, network);
      return { id: network.id };
    });
    return Empty.create();
  }

  /** Removes what nobody uses. */
  async prune(request: ListRequest, context: CallContext): Promise<PruneNetworksResponse> {
    const passes = compileFilters(request.filters, PRUNE_FILTERS);
    const { names } = await write(this.#deps, context, (draft) => {
      const pruned: string[] = [];
      for (const network of draft.table('network').all()) {
        const name = networkName(network);
        if (network.removing || isPredefined(name) || !passes(network)) continue;
        if (userOf(draft, network) !== undefined || hasTasks(draft, network)) continue;
        removeNow(draft, network);
        pruned.push(name);
      }
      return { names: pruned.sort().join(' ') };
    });
    return PruneNetworksResponse.create({ names: names === '' ? [] : names.split(' ') });
  }
}

const FILTERS = {
  id: ({ network }: NetworkView, value: string) => network!.id.startsWith(value),
  name: ({ network }: NetworkView, value: string) => networkName(network!).includes(value),
  label: ({ network }: NetworkView, value: string) => hasLabel(network!.spec?.labels ?? {}, value),
  driver: ({ network }: NetworkView, value: string) => network!.spec?.driver === value,
  scope: (row: NetworkView, value: string) =>
    value === (row.predefined && row.state === null ? 'local' : 'swarm'),
  type: (row: NetworkView, value: string) => value === (row.predefined ? 'builtin' : 'custom'),
};

/** `until`: wall time in milliseconds; the command line makes it of what people type. */
const PRUNE_FILTERS = {
  label: (row: Network, value: string) => hasLabel(row.spec?.labels ?? {}, value),
  'label!': (row: Network, value: string) => !hasLabel(row.spec?.labels ?? {}, value),
  until: (row: Network, value: string) => row.createdWallMs < Number(value),
};

function byName(a: NetworkView, b: NetworkView): number {
  return networkName(a.network!) < networkName(b.network!) ? -1 : 1;
}

/** What nodes make names and virtual addresses from. */
function servicesOn(view: View, network: Network): NetworkService[] {
  const ids = new Set<string>();
  for (const { id } of view.table('service').by('network', networkName(network))) ids.add(id);
  for (const { serviceId } of view.table('task').by('network', network.id)) ids.add(serviceId);
  const rows = [...ids].flatMap((id) => networkServices(view, id).get(network.id) ?? []);
  return rows.sort((a, b) => (a.serviceName < b.serviceName ? -1 : 1));
}

function peersOn(view: View, network: Network): NetworkPeer[] {
  const ids = new Set<string>();
  for (const task of view.table('task').by('network', network.id))
    if (isReachable(view, task)) ids.add(task.nodeId);
  return [...ids].sort().flatMap((id) => networkPeer(view, id) ?? []);
}

function refuseTakenName(draft: Draft, name: string): void {
  const [other] = draft.table('network').by('name', name);
  if (other === undefined) return;
  throw new SwarmError(
    'NAME_CONFLICT',
    other.removing
      ? `the network ${name} is still being removed`
      : `there is a network ${name} already`,
    {
      command: 'swarm network ls',
      advice: other.removing
        ? 'Try again when its last task has ended, or choose another name.'
        : 'Choose another name, or use the one that is there.',
      details: { id: other.id },
    },
  );
}

/** Throws IN_USE for what another network has, or a node routes itself. */
function refuseTakenSubnet(view: View, prefix: Prefix): void {
  const text = formatPrefix(prefix);
  for (const { networkId, cidr } of subnetsOf(view)) {
    if (!overlaps(prefix, parsePrefix(cidr)!)) continue;
    const owner = view.table('network').get(networkId);
    const who = owner === undefined ? 'a network that was just removed' : networkName(owner);
    throw new SwarmError('IN_USE', `${text} overlaps ${cidr} of ${who}`, {
      advice:
        owner === undefined
          ? `It is free ${LIMITS.networkRestMs / 1_000} s after the removal. Or choose another one.`
          : 'Choose another subnet, or leave --subnet out: a free one is taken from the pool.',
      command: 'swarm network ls',
    });
  }
  for (const { nodeId, prefix: route } of nodeRoutes(view)) {
    if (!overlaps(prefix, route)) continue;
    const name = view.table('node').get(nodeId)?.name ?? nodeId;
    throw new SwarmError(
      'IN_USE',
      `${text} overlaps ${formatPrefix(route)}, which ${name} routes`,
      {
        advice: 'Choose another subnet, or leave --subnet out: a free one is taken from the pool.',
        command: `swarm node inspect ${name}`,
      },
    );
  }
}

/** Those that are wished for, and those that are there. */
function* subnetsOf(view: View): Iterable<{ networkId: string; cidr: string }> {
  for (const { id, spec } of view.table('network').all())
    for (const { cidr } of spec?.subnets ?? []) yield { networkId: id, cidr };
  for (const { id, subnets } of view.table('networkState').all())
    for (const { cidr } of subnets) yield { networkId: id, cidr };
}

function refusePredefined(name: string): void {
  if (!isPredefined(name)) return;
  throw new SwarmError('PRECONDITION', `${name} is not made by users and is not removed`, {
    advice: 'Only networks that swarm network create made can be removed.',
    command: 'swarm network ls --filter type=custom',
  });
}

/** The service or task that is to stay on it; undefined: what is on it is about to end. */
function userOf(view: View, network: Network): string | undefined {
  for (const service of view.table('service').by('network', networkName(network)))
    if (!service.removing) return `the service ${serviceName(service)}`;
  for (const task of view.table('task').by('network', network.id)) {
    const leaves = view.table('service').get(task.serviceId)?.removing ?? true;
    if (!leaves && isReachable(view, task)) return `the task ${taskName(view, task)}`;
  }
  return undefined;
}

function hasTasks(view: View, network: Network): boolean {
  for (const task of view.table('task').by('network', network.id))
    if (isReachable(view, task)) return true;
  return false;
}

function inUse(network: Network, user: string): SwarmError {
  const name = networkName(network);
  const [kind, object] = [user.split(' ')[1], user.split(' ')[2]];
  return new SwarmError('IN_USE', `${user} is on the network ${name}`, {
    advice: 'Take it off the network, or remove it, first.',
    command:
      kind === 'service'
        ? `swarm service update --network-rm ${name} ${object}`
        : `swarm why ${object}`,
    details: { object: object ?? '' },
  });
}

/** At once when nothing is on it; else when the last task has ended. */
function removeNow(draft: Draft, network: Network): void {
  if (hasTasks(draft, network)) {
    if (!network.removing) draft.put('network', Network.with(network, { removing: true }));
    return;
  }
  draft.delete('network', network.id);
  emit(draft, 'remove', network.id, networkName(network));
}

function emit(draft: Draft, action: string, id: string, name: string): void {
  draft.emit({ kind: 'network', action, id, name, message: '' });
}
