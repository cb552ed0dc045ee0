import type { ProposeResult } from '../replication.ts';

interface Waiting {
  readonly term: number;
  readonly resolve: (result: ProposeResult) => void;
}

/** Entries of this leader whose fate somebody waits for, by index. */
export class Proposals {
  readonly #waiting = new Map<number, Waiting>();

  add(index: number, term: number): Promise<ProposeResult> {
    return new Promise((resolve) => this.#waiting.set(index, { term, resolve }));
  }

  /** The entry (index, term) is applied here. One of another term took the place of ours. */
  applied(index: number, term: number): void {
    const waiting = this.#waiting.get(index);
    if (waiting === undefined) return;
    this.#waiting.delete(index);
    if (waiting.term === term) waiting.resolve({ kind: 'applied', index });
    else waiting.resolve({ kind: 'dropped', reason: 'not-leader' });
  }

  /** Leadership is lost: the entries may be committed by the next leader or not. */
  leadershipLost(): void {
    for (const waiting of this.#waiting.values()) waiting.resolve({ kind: 'unknown' });
    this.#waiting.clear();
  }
}
