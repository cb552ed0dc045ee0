import { LIMITS } from '../../shared/limits.ts';
import type { Draft, UpdateOptions } from './view.ts';

/** One waiting function. */
export interface Waiting {
  readonly fn: (draft: Draft) => unknown;
  readonly options: UpdateOptions;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  /** Its caller's deadline has passed: it is skipped. */
  expired: boolean;
}

/**
 * Who is next into the group. Users go first, but while a turn of the loop or a batch of statuses
 * waits they fill at most half of a group: a flood of writes never stops the loop.
 */
export class UpdateQueue {
  readonly #users: Waiting[] = [];
  readonly #system: Waiting[] = [];

  get size(): number {
    return this.#users.length + this.#system.length;
  }
  push(waiting: Waiting): void {
    (waiting.options.writer === 'users' ? this.#users : this.#system).push(waiting);
  }
  /** Back to the front: it did not fit into the group at hand. */
  unshift(waiting: Waiting): void {
    (waiting.options.writer === 'users' ? this.#users : this.#system).unshift(waiting);
  }
  next(groupBytes: number): Waiting | undefined {
    const usersHaveHadTheirHalf = groupBytes >= LIMITS.entryBytesMax / 2;
    if (this.#system.length > 0 && usersHaveHadTheirHalf) return this.#system.shift();
    return this.#users.shift() ?? this.#system.shift();
  }
  drain(): Waiting[] {
    return [...this.#users.splice(0), ...this.#system.splice(0)];
  }
}
