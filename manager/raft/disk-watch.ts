import type { Timing } from './timing.ts';

/** A write that hangs this long will not come back: the process ends and checks its state. */
const HUNG_MS = 30_000;

/**
 * `make-room`: the leader's disk began to hang, another should lead. `step-down`: it still hangs and
 * still leads. `hung`: give up.
 */
export type DiskVerdict = 'fine' | 'make-room' | 'step-down' | 'hung';

/**
 * Judges how long the write at hand is outstanding. A leader that cannot write must not keep others
 * from leading by its heartbeats.
 */
export class DiskWatch {
  #isStalled = false;

  /** While true: no leader's traffic, no candidacy. Never for a member without others. */
  get isStalled(): boolean {
    return this.#isStalled;
  }

  judge(outstandingMs: number, timing: Timing, hasOthers: boolean, isLeader: boolean): DiskVerdict {
    if (outstandingMs > HUNG_MS) return 'hung';
    const was = this.#isStalled;
    this.#isStalled = hasOthers && outstandingMs > timing.electionTimeoutMs;
    if (!this.#isStalled || !isLeader) return 'fine';
    return was ? 'step-down' : 'make-room';
  }
}
