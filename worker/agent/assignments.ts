import type {
  AssignedTask,
  Assignments,
  AttachedNetwork,
  LoadBalanced,
  NetworkPeer,
  NetworkService,
  Position,
} from '../../proto/index.ts';
import { comparePositions, NOWHERE } from './position.ts';

/** Everything the leader has ordered, as of one position. */
export interface Orders extends NetworkOrders {
  readonly position: Position;
  readonly tasks: ReadonlyMap<string, AssignedTask>;
}

/** What the network is built from, by id. */
export interface NetworkOrders {
  readonly services: ReadonlyMap<string, LoadBalanced>;
  readonly peers: ReadonlyMap<string, NetworkPeer>;
  readonly networks: ReadonlyMap<string, AttachedNetwork>;
  readonly networkServices: ReadonlyMap<string, NetworkService>;
}

export const NO_ORDERS: Orders = {
  position: NOWHERE,
  tasks: new Map(),
  services: new Map(),
  peers: new Map(),
  networks: new Map(),
  networkServices: new Map(),
};

export type Applied =
  | {
      readonly ok: true;
      readonly orders: Orders;
      readonly changed: readonly AssignedTask[];
      readonly removed: readonly string[];
      readonly networkChanged: boolean;
    }
  /** `stale`: a leader of the past. `gap`: what came before is missing, a complete set is needed. */
  | { readonly ok: false; readonly why: 'stale' | 'gap' };

/** Takes one message of the leader's into the orders. */
export function applyAssignments(orders: Orders, message: Assignments): Applied {
  const to = message.to ?? NOWHERE;
  if (comparePositions(to, orders.position) < 0) return { ok: false, why: 'stale' };
  if (!message.complete && !follows(orders.position, message.from ?? NOWHERE)) {
    return { ok: false, why: 'gap' };
  }
  const { complete } = message;
  const tasks = changed(complete, orders.tasks, message.tasks, message.removedTasks, (t) => t.id);
  const network = {
    services: changed(
      complete,
      orders.services,
      message.services,
      message.removedServices,
      (row) => row.serviceId,
    ),
    peers: changed(complete, orders.peers, message.peers, message.removedPeers, (p) => p.nodeId),
    networks: changed(
      complete,
      orders.networks,
      message.networks,
      message.removedNetworks,
      (row) => row.id,
    ),
    networkServices: changed(
      complete,
      orders.networkServices,
      message.networkServices,
      message.removedNetworkServices,
      (row) => row.id,
    ),
  };
  const same =
    network.services === orders.services &&
    network.peers === orders.peers &&
    network.networks === orders.networks &&
    network.networkServices === orders.networkServices;
  return {
    ok: true,
    orders: { position: to, tasks, ...network },
    changed: message.tasks,
    removed: [...orders.tasks.keys()].filter((id) => !tasks.has(id)),
    networkChanged: complete || !same,
  };
}

/** The same map where nothing of it is in the message. */
function changed<T>(
  complete: boolean,
  rows: ReadonlyMap<string, T>,
  put: readonly T[],
  removed: readonly string[],
  idOf: (row: T) => string,
): ReadonlyMap<string, T> {
  if (!complete && put.length === 0 && removed.length === 0) return rows;
  const next = new Map(complete ? [] : rows);
  for (const row of put) next.set(idOf(row), row);
  for (const id of removed) next.delete(id);
  return next;
}

/** A new leader's first increment may follow what its predecessor sent. */
function follows(position: Position, from: Position): boolean {
  return position.epoch === from.epoch && position.index === from.index;
}
