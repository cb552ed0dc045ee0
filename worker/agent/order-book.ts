import {
  AgentNetworkRecord,
  AgentPosition,
  type AssignedTask,
  type Assignments,
  type Position,
} from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { NetworkRows } from '../network/network.ts';
import { type Applied, applyAssignments, NO_ORDERS, type Orders } from './assignments.ts';
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
  #orders: Orders = NO_ORDERS;
  #digest: Uint8Array = new Uint8Array();
  #networkIndex = 0;
  #networkIsSaved = true;

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
    const { services, peers, networks, networkServices } = this.#orders;
    return {
      index: this.#networkIndex,
      services: [...services.values()],
      peers: [...peers.values()],
      networks: [...networks.values()],
      networkServices: [...networkServices.values()],
    };
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
      peers: new Map((network?.peers ?? []).map((row) => [row.nodeId, row])),
      networks: new Map((network?.networks ?? []).map((row) => [row.id, row])),
      networkServices: new Map((network?.networkServices ?? []).map((row) => [row.id, row])),
    };
    // A record may be older than the digest says, and is after a power cut: everything is asked for again.
    const isCovered = place.networkIndex === this.#networkIndex;
    if (place.bootId === bootId && isCovered) this.#digest = place.digest;
  }
  take(message: Assignments): Applied {
    const applied = applyAssignments(this.#orders, message);
    if (!applied.ok) {
      if (applied.why === 'gap') this.forgetDigest();
      return applied;
    }
    this.#orders = applied.orders;
    this.#digest = message.digest;
    if (applied.networkChanged) this.#networkIndex = applied.orders.position.index;
    return applied;
  }
  /** The next hello asks for everything. */
  forgetDigest(): void {
    this.#digest = new Uint8Array();
  }
  /** After the tasks' own records: a position never stands for an order that is not on the disk. */
  save(withNetwork: boolean): void {
    const { store, clusterId, bootId } = this.#deps;
    if (withNetwork) this.#networkIsSaved = false;
    if (!this.#networkIsSaved && !this.#isLarge) this.saveNetwork();
    const { position } = this.#orders;
    const networkIndex = this.#networkIndex;
    store.position.write(
      AgentPosition.create({ position, digest: this.#digest, clusterId, bootId, networkIndex }),
    );
  }
  /** Whether rows of the network wait to be written: many are not written for each that changes. */
  get networkWaits(): boolean {
    return !this.#networkIsSaved;
  }
  saveNetwork(): void {
    this.#deps.store.network.write(AgentNetworkRecord.create(this.network));
    this.#networkIsSaved = true;
  }
  get #isLarge(): boolean {
    const { services, networkServices } = this.#orders;
    return services.size + networkServices.size > LIMITS.networkRowsSavedAtOnceMax;
  }
}
