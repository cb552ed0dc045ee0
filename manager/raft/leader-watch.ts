import type { Clock } from '../../shared/clock.ts';
import { NONE, type RawNode } from './core/index.ts';

/** A term as this member saw it. `leader` is NONE while nobody was known to lead. */
export interface SeenTerm {
  readonly term: number;
  readonly leader: number;
  readonly sinceWallMs: number;
}

const HISTORY_MAX = 32;

/** Remembers who led last, and tells of changes. */
export class LeaderWatch {
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();
  readonly #history: SeenTerm[] = [];
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
    this.#remember({ term: node.term, leader: node.lead, sinceWallMs: this.#clock.wallMs() });
    return true;
  }
  /** The last terms since this process began, newest first. */
  get history(): readonly SeenTerm[] {
    return this.#history;
  }
  announce(): void {
    for (const fn of [...this.#listeners]) fn();
  }
  onChange(fn: () => void): () => void {
    this.#listeners.add(fn);
    return () => this.#listeners.delete(fn);
  }

  /** A term's leader takes the place of the election before it. */
  #remember(seen: SeenTerm): void {
    const [newest] = this.#history;
    if (newest?.term === seen.term && newest.leader === NONE) this.#history.shift();
    if (newest?.term === seen.term && seen.leader === NONE) return;
    this.#history.unshift(seen);
    if (this.#history.length > HISTORY_MAX) this.#history.pop();
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
