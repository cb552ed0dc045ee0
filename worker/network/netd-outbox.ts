import { type LoadBalanced, NetdRows } from '../../proto/index.ts';
import { NamesFeed, type NamesWish } from './names/names-feed.ts';
import type { NetworkRows, TaskPort } from './network.ts';

/** Everything that a netd is told. */
export interface NetdWish {
  readonly rows: NetworkRows;
  readonly nodeId: string;
  readonly publishAddress: string;
  /** By task; the map's entries are replaced, never changed. */
  readonly taskPorts: ReadonlyMap<string, readonly TaskPort[]>;
  /** Undefined: no container of this node asks for names. */
  readonly names: NamesWish | undefined;
}

/** A netd of this protocol keeps what it is not told again. */
const KEEPS_REST = 2;
const NO_NAMES: NamesWish = { router: '', networks: [], services: [], clients: [] };

/** What one netd knows already: it is told what differs. Begins anew with every connection. */
export class NetdOutbox {
  readonly #protocol: number;
  readonly #feed = new NamesFeed();
  #services: readonly LoadBalanced[] | undefined;
  #rest = '';

  constructor(protocol: number) {
    this.#protocol = protocol;
  }
  /** Undefined: it knows all of this. */
  next({ rows, nodeId, publishAddress, taskPorts, names }: NetdWish): NetdRows | undefined {
    const { index, services } = rows;
    const hosts = { [nodeId]: publishAddress, ...rows.nodeHosts };
    const ports = [...taskPorts].flatMap(([taskId, list]) =>
      list.map((port) => ({ taskId, ...port })),
    );
    const rest = JSON.stringify([hosts, ports]);
    const isKept = rest === this.#rest && isSame(this.#services, services);
    const told = this.#feed.next(names ?? NO_NAMES) ?? null;
    this.#services = services;
    this.#rest = rest;
    if (!isKept || this.#protocol < KEEPS_REST)
      return NetdRows.create({
        index,
        services,
        nodeId,
        nodeHosts: hosts,
        taskPorts: ports,
        names: told,
      });
    return told === null
      ? undefined
      : NetdRows.create({ index, nodeId, names: told, restKept: true });
  }
}

function isSame(a: readonly LoadBalanced[] | undefined, b: readonly LoadBalanced[]): boolean {
  return a !== undefined && a.length === b.length && a.every((row, at) => row === b[at]);
}
