import {
  type AttachedNetwork,
  NetdNameClient,
  NetdNames,
  type NetworkService,
} from '../../../proto/index.ts';
import type { LocalEndpoint } from '../container-network.ts';

/** What netd answers names from. A row that stays is the same object. */
export interface NamesWish {
  /** Network namespace that names are asked for in. */
  readonly router: string;
  readonly networks: readonly AttachedNetwork[];
  readonly services: readonly NetworkService[];
  /** Containers of this node that ask. */
  readonly clients: readonly LocalEndpoint[];
}

/** What a netd was told of names, so that it is told only what changed. */
export class NamesFeed {
  #router: string | undefined;
  #networks: ReadonlyMap<string, AttachedNetwork> = new Map();
  #services: ReadonlyMap<string, NetworkService> = new Map();
  #clients: ReadonlyMap<string, LocalEndpoint> = new Map();

  /** Undefined: it knows all of this. */
  next(wish: NamesWish): NetdNames | undefined {
    const complete = this.#router === undefined;
    const networks = difference(this.#networks, wish.networks, ({ id }) => id);
    const services = difference(this.#services, wish.services, ({ id }) => id);
    const clients = difference(this.#clients, wish.clients, ({ taskId }) => taskId);
    const isSame = [networks, services, clients].every(
      ({ put, removed }) => put.length === 0 && removed.length === 0,
    );
    if (isSame && wish.router === this.#router) return undefined;
    this.#router = wish.router;
    this.#networks = networks.now;
    this.#services = services.now;
    this.#clients = clients.now;
    return NetdNames.create({
      complete,
      router: wish.router,
      networks: networks.put,
      removedNetworks: networks.removed,
      services: services.put,
      removedServices: services.removed,
      clients: clients.put.map(clientOf),
      removedClients: clients.removed,
    });
  }
}

function clientOf({ taskId, attachments, dns }: LocalEndpoint): NetdNameClient {
  return NetdNameClient.create({
    taskId,
    addresses: attachments.map(({ address }) => address).filter((address) => address !== ''),
    networkIds: attachments.map(({ networkId }) => networkId),
    dns,
  });
}

interface Difference<T> {
  readonly now: ReadonlyMap<string, T>;
  readonly put: readonly T[];
  readonly removed: readonly string[];
}

function difference<T>(
  before: ReadonlyMap<string, T>,
  rows: readonly T[],
  idOf: (row: T) => string,
): Difference<T> {
  const now = new Map(rows.map((row) => [idOf(row), row]));
  const put = rows.filter((row) => before.get(idOf(row)) !== row);
  // Nothing can be gone where as many are there as before and none is new.
  if (now.size === before.size && put.every((row) => before.has(idOf(row))))
    return { now, put, removed: [] };
  return { now, put, removed: [...before.keys()].filter((id) => !now.has(id)) };
}
