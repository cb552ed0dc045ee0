import type { ListenFailure } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Network, NetworkRows } from './network.ts';
import { type BindPlaces, isNamed, type ResolvedPorts, resolveBinds } from './port-binds.ts';

export interface BoundNetworkDeps {
  readonly inner: Network;
  readonly places: BindPlaces;
  readonly clock: Clock;
}

/** Interfaces get and lose addresses, and nobody tells. */
const LOOK_MS = 5_000;

/** A network whose ports may be bound to interfaces and labels: the one below knows addresses alone. */
export class BoundNetwork implements Network {
  readonly #deps: BoundNetworkDeps;
  readonly #fns: ((index: number, failures: readonly ListenFailure[]) => void)[] = [];
  /** By service: rows that stay the same stay the same object. */
  #resolved = new Map<string, ResolvedPorts & { readonly text: string; readonly row: unknown }>();
  #rows: NetworkRows | undefined;
  #timer: Timer | undefined;

  constructor(deps: BoundNetworkDeps) {
    this.#deps = deps;
    deps.inner.onApplied((index, failures) => {
      const own = [...this.#resolved.values()].flatMap((each) => each.failures);
      for (const fn of this.#fns) fn(index, [...own, ...failures]);
    });
  }
  get tier(): Network['tier'] {
    return this.#deps.inner.tier;
  }
  start(): Promise<void> {
    return this.#deps.inner.start();
  }
  stop(): Promise<void> {
    this.#timer?.cancel();
    return this.#deps.inner.stop();
  }
  destroy(): Promise<void> {
    this.#timer?.cancel();
    return this.#deps.inner.destroy();
  }
  apply(rows: NetworkRows): void {
    this.#rows = rows;
    this.#timer?.cancel();
    this.#timer = undefined;
    const isAnyNamed = rows.services.some(isNamed);
    if (isAnyNamed) this.#timer = this.#deps.clock.setTimer(LOOK_MS, () => this.#look());
    this.#resolve(rows);
    const services = isAnyNamed
      ? rows.services.map((row) => this.#resolved.get(row.serviceId)?.service ?? row)
      : rows.services;
    this.#deps.inner.apply({ ...rows, services });
  }
  onApplied(fn: (index: number, failures: readonly ListenFailure[]) => void): void {
    this.#fns.push(fn);
  }
  openConnections(taskId: string, pid: number): Promise<number> {
    return this.#deps.inner.openConnections(taskId, pid);
  }

  /** True when something means another thing than before. */
  #resolve(rows: NetworkRows): boolean {
    const before = this.#resolved;
    this.#resolved = new Map();
    let differs = false;
    for (const row of rows.services.filter(isNamed)) {
      const resolved = resolveBinds(row, this.#deps.places);
      const text = JSON.stringify([
        resolved.service.ports.map(({ bind, published }) => [bind, published]),
        resolved.failures,
      ]);
      const known = before.get(row.serviceId);
      const stays = known !== undefined && known.row === row && known.text === text;
      this.#resolved.set(row.serviceId, stays ? known : { ...resolved, text, row });
      differs ||= !stays;
    }
    return differs;
  }
  #look(): void {
    const rows = this.#rows!;
    if (this.#resolve(rows)) this.apply(rows);
    else this.#timer = this.#deps.clock.setTimer(LOOK_MS, () => this.#look());
  }
}
