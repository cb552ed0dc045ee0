import type { Clock } from '../../../shared/clock.ts';

/** Election timeouts within which a candidate surely asked: each waits up to two. */
const ELECTION_ROUNDS = 4;

/**
 * Who was heard of within an election timeout. The core's own flag is cleared at every check of the
 * quorum, so right after one nobody would seem to be there.
 */
export class PeerActivity {
  readonly #clock: Clock;
  readonly #windowMs: () => number;
  readonly #heardMs = new Map<number, number>();

  constructor(clock: Clock, windowMs: () => number) {
    this.#clock = clock;
    this.#windowMs = windowMs;
  }
  heard(raftId: number): void {
    this.#heardMs.set(raftId, this.#clock.monotonicMs());
  }
  forget(raftId: number): void {
    this.#heardMs.delete(raftId);
  }
  isActive(raftId: number): boolean {
    return this.#isHeardWithin(raftId, this.#windowMs());
  }
  /** Without a leader members speak only when one of them asks for votes. */
  isActiveWithoutLeader(raftId: number): boolean {
    return this.#isHeardWithin(raftId, ELECTION_ROUNDS * this.#windowMs());
  }

  /** Milliseconds since it was last heard of; undefined: never. */
  silentMs(raftId: number): number | undefined {
    const heardMs = this.#heardMs.get(raftId);
    return heardMs === undefined ? undefined : this.#clock.monotonicMs() - heardMs;
  }

  #isHeardWithin(raftId: number, windowMs: number): boolean {
    const heardMs = this.#heardMs.get(raftId);
    return heardMs !== undefined && this.#clock.monotonicMs() - heardMs <= windowMs;
  }
}
