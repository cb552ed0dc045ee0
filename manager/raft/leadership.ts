import type { LeadershipListener } from '../replication.ts';

/** For a member that leads a term and can act. `leave`: it was announced and taken back. */
export type Due = 'nothing' | 'announce' | 'leave';

/**
 * Tells leader-scoped parts when they may act. A term is announced once its first entry is applied,
 * taken back at the first doubt, and never announced again.
 */
export class Leadership {
  readonly #listeners: LeadershipListener[] = [];
  #readyTerm = 0;
  #announcedTerm = 0;
  #spentTerm = 0;

  /** The term that listeners act in; 0 when they do not. */
  get term(): number {
    return this.#announcedTerm;
  }

  /** Called in order at `gained`, in reverse order at `lost`. Told at once when it is announced. */
  add(listener: LeadershipListener): () => void {
    this.#listeners.push(listener);
    if (this.#announcedTerm !== 0) listener.gained(this.#announcedTerm);
    return () => {
      const at = this.#listeners.indexOf(listener);
      if (at >= 0) this.#listeners.splice(at, 1);
    };
  }

  /** An entry of `term`, which this member leads, is applied: as soon as it can act, it may. */
  ready(term: number): Due {
    this.#readyTerm = term;
    return this.due(term);
  }
  due(term: number): Due {
    if (this.#announcedTerm === term) return 'nothing';
    if (term <= this.#spentTerm) return 'leave';
    return this.#readyTerm === term ? 'announce' : 'nothing';
  }

  gained(term: number): void {
    if (term <= this.#spentTerm) return;
    this.#spentTerm = term;
    this.#announcedTerm = term;
    for (const listener of [...this.#listeners]) listener.gained(term);
  }

  /** True when it was announced. */
  lost(): boolean {
    if (this.#announcedTerm === 0) return false;
    this.#announcedTerm = 0;
    for (const listener of [...this.#listeners].reverse()) listener.lost();
    return true;
  }
}
