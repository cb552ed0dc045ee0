import { ListenFailure, LoadBalanced, PortConfig } from '../../proto/index.ts';
import { parsePortBind } from '../../shared/port-bind.ts';

/** What this node's ports are bound to. */
export interface BindPlaces {
  readonly nodeId: string;
  /** Addresses of an interface of this machine; none: there is none, or it has no address. */
  readonly addressesOf: (interfaceName: string) => readonly string[];
}

export interface ResolvedPorts {
  /** The row itself where nothing had to be found out. */
  readonly service: LoadBalanced;
  readonly failures: readonly ListenFailure[];
}

/** Whether a port of it is bound to what each node has to find out. */
export function isNamed({ ports }: LoadBalanced): boolean {
  return ports.some(({ bind }) => bind !== '' && parsePortBind(bind)?.kind !== 'address');
}

/**
 * Ports at the addresses that they mean on this node: an interface's port is published at each of its
 * addresses, and a port that is bound to a label not at all on a node without the label.
 */
export function resolveBinds(service: LoadBalanced, places: BindPlaces): ResolvedPorts {
  if (!isNamed(service)) return { service, failures: [] };
  const failures: ListenFailure[] = [];
  const ports = service.ports.flatMap((port) => {
    const meant = meaningOf(service, port.bind, places.nodeId);
    if (meant === undefined) return [];
    const parsed = parsePortBind(meant);
    if (parsed?.kind === 'all' || parsed?.kind === 'address')
      return [PortConfig.with(port, { bind: meant })];
    const addresses = parsed?.kind === 'interface' ? places.addressesOf(parsed.name) : [];
    if (addresses.length === 0) failures.push(failureOf(port, meant));
    return addresses.map((bind) => PortConfig.with(port, { bind }));
  });
  return { service: LoadBalanced.with(service, { ports }), failures };
}

/** Undefined: the node does not have the label. */
function meaningOf(service: LoadBalanced, bind: string, nodeId: string): string | undefined {
  const parsed = parsePortBind(bind);
  if (parsed?.kind !== 'label') return bind;
  return service.nodeLabels.find((one) => one.nodeId === nodeId && one.key === parsed.key)?.value;
}

function failureOf({ protocol, published }: PortConfig, meant: string): ListenFailure {
  const reason = `this node has no interface "${meant}" with an address`;
  return ListenFailure.create({ protocol, port: published, reason });
}
