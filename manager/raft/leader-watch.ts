import type { Clock } from '../../shared/clock.ts';
import { NONE, type RawNode } from './core/index.ts';

/** Remembers who led last, and tells of changes. */
export class LeaderWatch {
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  #lead = NONE;
  #term = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True when leader or term are others than at the last look. */
  look(node: Pick<RawNode, 'lead' | 'term'>): boolean {
    if (node.lead === this.#lead && node.term === this.#term) return false;
    this.#lead = node.lead;
    this.#term = node.term;
    return true;
  }
  announce(): void {
    for (const fn of [...this.#listeners]) fn();
  }
  onChange(fn: () => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  /** Resolves true when somebody other than `raftId` leads, false after `timeoutMs`. */
  another(raftId: number, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (found: boolean): void => {
        timer.cancel();
        off();
        resolve(found);
      };
      const off = this.onChange(() => {
        if (this.#lead !== NONE && this.#lead !== raftId) finish(true);
      });
      const timer = this.#clock.setTimer(timeoutMs, () => finish(false));
    });
  }
}
