import type { NetdNameClient } from '../../../proto/index.ts';

/** Who asks: a task of this node, known by the address that it asks from. */
export interface Client {
  readonly taskId: string;
  /** In the task's order. */
  readonly networkIds: readonly string[];
  /** Resolvers that it asks instead of the host's for names of the world outside. */
  readonly dns: readonly string[];
  /** The same for all tasks of the same networks: they get the same answers. */
  readonly scope: Scope;
}

/** Networks that are asked together, and what was answered on them since the last change. */
export interface Scope {
  readonly answers: Map<string, KeptAnswer>;
  version: number;
}

/** One answer for each value that may stand first, made when it is needed. */
export interface KeptAnswer {
  readonly turns: (Buffer | undefined)[];
  readonly make: (turn: number) => Buffer;
  next: number;
}

/** The tasks of this node that may ask for names. */
export class Clients {
  readonly #byAddress = new Map<string, Client>();
  readonly #rows = new Map<string, NetdNameClient>();
  readonly #scopes = new Map<string, Scope>();

  get(address: string): Client | undefined {
    return this.#byAddress.get(address);
  }
  clear(): void {
    this.#byAddress.clear();
    this.#rows.clear();
    this.#scopes.clear();
  }
  put(row: NetdNameClient): void {
    this.remove(row.taskId);
    this.#rows.set(row.taskId, row);
    const { taskId, networkIds, dns } = row;
    const client = { taskId, networkIds, dns, scope: this.#scopeOf(networkIds) };
    for (const address of row.addresses) this.#byAddress.set(address, client);
  }
  remove(taskId: string): void {
    for (const address of this.#rows.get(taskId)?.addresses ?? [])
      if (this.#byAddress.get(address)?.taskId === taskId) this.#byAddress.delete(address);
    this.#rows.delete(taskId);
    if (this.#rows.size === 0) this.#scopes.clear();
  }
  #scopeOf(networkIds: readonly string[]): Scope {
    const key = networkIds.join(' ');
    let scope = this.#scopes.get(key);
    if (scope === undefined) {
      scope = { answers: new Map(), version: -1 };
      this.#scopes.set(key, scope);
    }
    return scope;
  }
}
