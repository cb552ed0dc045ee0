import type { ConfState } from '../../../manager/raft/index.ts';

/** What follows the first finding in the same event is most often its echo. */
const SHOWN_MAX = 3;

/** Where every check says what it found wrong. The first finding ends the run. */
export class Verdict {
  readonly violations: string[] = [];
  readonly #onViolation: () => void;

  constructor(onViolation: () => void) {
    this.#onViolation = onViolation;
  }
  fail(what: string): void {
    if (this.violations.length < SHOWN_MAX) this.violations.push(what);
    this.#onViolation();
  }
}

/** What the checks know of the process that speaks. */
export interface Observed {
  readonly raftId: number;
  readonly epoch: number;
  readonly name: string;
  /** The members as this process applied them last. */
  confState: ConfState;
  appliedIndex: number;
  /** The commit index as this process knows it; 0 before it takes part. */
  readonly committedIndex: number;
}
