import {
  AgentNetworkRecord,
  AgentPosition,
  type AssignedTask,
  type Assignments,
  type Position,
} from '../../proto/index.ts';
import type { NetworkRows } from '../network/network.ts';
import { type Applied, applyAssignments, type Orders } from './assignments.ts';
import type { LocalStore } from './local-store.ts';
import { NOWHERE } from './position.ts';

export interface OrderBookDeps {
  readonly store: LocalStore;
  readonly clusterId: string;
  readonly bootId: string;
}

/** The leader's orders as of the highest position that this node has ever seen. */
export class OrderBook {
  readonly #deps: OrderBookDeps;
  #orders: Orders = { position: NOWHERE, tasks: new Map(), services: new Map() };
  #digest: Uint8Array = new Uint8Array();
  #networkIndex = 0;

  constructor(deps: OrderBookDeps) {
    this.#deps = deps;
  }
  get position(): Position {
    return this.#orders.position;
  }
  /** Empty: a complete set is wanted. */
  get digest(): Uint8Array {
    return this.#digest;
  }
  /** Index 0: nothing is known yet. */
  get network(): NetworkRows {
    return { index: this.#networkIndex, services: [...this.#orders.services.values()] };
  }
  /** `tasks` as their records have them. */
  load(tasks: readonly AssignedTask[]): void {
    const { store, clusterId, bootId } = this.#deps;
    const place = store.position.read();
    // Positions of a former cluster mean nothing here.
    if (place?.clusterId !== clusterId) return;
    const network = store.network.read();
    this.#networkIndex = network?.index ?? 0;
    this.#orders = {
      position: place.position ?? NOWHERE,
      tasks: new Map(tasks.map((task) => [task.id, task])),
      services: new Map((network?.services ?? []).map((row) => [row.serviceId, row])),
    };
    // After a power cut a record may be older than the digest says: everything is asked for again.
    if (place.bootId === bootId) this.#digest = place.digest;
  }
  take(message: Assignments): Applied {
    const applied = applyAssignments(this.#orders, message);
    if (!applied.ok) {
      if (applied.why === 'gap') this.forgetDigest();
      return applied;
    }
    this.#orders = applied.orders;
    this.#digest = message.digest;
    if (applied.servicesChanged) this.#networkIndex = applied.orders.position.index;
    return applied;
  }
  /** The next hello asks for everything. */
  forgetDigest(): void {
    this.#digest = new Uint8Array();
  }
  /** After the tasks' own records: a position never stands for an order that is not on the disk. */
  save(withNetwork: boolean): void {
    const { store, clusterId, bootId } = this.#deps;
    if (withNetwork) {
      const services = [...this.#orders.services.values()];
      store.network.write(AgentNetworkRecord.create({ index: this.#networkIndex, services }));
    }
    const { position } = this.#orders;
    store.position.write(
      AgentPosition.create({ position, digest: this.#digest, clusterId, bootId }),
    );
  }
}
