import type { Clock } from '../../shared/clock.ts';
import { NONE, type RawNode } from './core/index.ts';

/** A term as this member saw it. `leader` is NONE while nobody was known to lead. */
export interface SeenTerm {
  readonly term: number;
  readonly leader: number;
  /** Of the leader, kept when it is a manager no more; empty when it was not known then. */
  readonly nodeId: string;
  readonly sinceWallMs: number;
}

const HISTORY_MAX = 32;

/** Remembers who led last, and tells of changes. */
export class LeaderWatch {
  readonly #clock: Clock;
  readonly #nodeOf: (raftId: number) => string;
  readonly #listeners = new Set<() => void>();
  readonly #history: SeenTerm[] = [];
  #lead = NONE;
  #term = 0;

  constructor(clock: Clock, nodeOf: (raftId: number) => string) {
    this.#clock = clock;
    this.#nodeOf = nodeOf;
  }

  /** True when leader or term are others than at the last look. */
  look(node: Pick<RawNode, 'lead' | 'term'>): boolean {
    if (node.lead === this.#lead && node.term === this.#term) return false;
    this.#lead = node.lead;
    this.#term = node.term;
    const { term, lead: leader } = node;
    const sinceWallMs = this.#clock.wallMs();
    this.#remember({ term, leader, nodeId: this.#nodeOf(leader), sinceWallMs });
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
