import type { ListenFailure } from '../../proto/index.ts';
import type { Network, NetworkRows } from '../network/network.ts';

/** For tests and simulation: a network that is built the moment it is ordered. */
export class FakeNetwork implements Network {
  readonly tier: Network['tier'] = 'proxy';
  readonly applied: NetworkRows[] = [];
  readonly connections = new Map<string, number>();
  destroyed = false;
  /** False: rows stay pending until `complete`. */
  immediate = true;
  failures: readonly ListenFailure[] = [];
  #fn: ((index: number, failures: readonly ListenFailure[]) => void) | undefined;

  async start(): Promise<void> {}
  async stop(): Promise<void> {}
  async destroy(): Promise<void> {
    this.destroyed = true;
  }
  apply(rows: NetworkRows): void {
    this.applied.push(rows);
    if (this.immediate) queueMicrotask(() => this.complete());
  }
  complete(): void {
    const rows = this.applied.at(-1);
    if (rows) this.#fn?.(rows.index, this.failures);
  }
  onApplied(fn: (index: number, failures: readonly ListenFailure[]) => void): void {
    this.#fn = fn;
  }
  async openConnections(taskId: string): Promise<number> {
    return this.connections.get(taskId) ?? 0;
  }
}
