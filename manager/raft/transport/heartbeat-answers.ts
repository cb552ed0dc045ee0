import type { Clock } from '../../../shared/clock.ts';
import type { Message } from '../core/index.ts';

/** Ticks between two plain answers: of heartbeats that come with every tick, each second one's. */
const QUIET_TICKS = 1.5;

/**
 * Which heartbeats a follower answers. A leader has to hear a quorum once in an election timeout,
 * and each answer wakes two processes: so half of them are enough, and the others are to raft like
 * messages that were lost. An answer that a read waits for, or the first to a leader, always goes.
 */
export class HeartbeatAnswers {
  readonly #clock: Clock;
  readonly #tickMs: () => number;
  #to = 0;
  #term = 0;
  #sentMs = 0;

  constructor(clock: Clock, tickMs: () => number) {
    this.#clock = clock;
    this.#tickMs = tickMs;
  }

  /** Whether this answer goes out; counts it as sent. */
  goes(answer: Pick<Message, 'to' | 'term' | 'context'>): boolean {
    const nowMs = this.#clock.monotonicMs();
    const isKnown = answer.to === this.#to && answer.term === this.#term;
    const isRecent = nowMs - this.#sentMs < QUIET_TICKS * this.#tickMs();
    if (isKnown && isRecent && answer.context.length === 0) return false;
    this.#to = answer.to;
    this.#term = answer.term;
    this.#sentMs = nowMs;
    return true;
  }
}
