import { Freshness } from '../../proto/index.ts';
import { delay } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Consistency } from '../../shared/rpc/rpc.ts';
import type { ControlDeps } from './deps.ts';

const RETRY_MS = 100;

/**
 * Runs `find` on the state that was read. What a stale one does not hold may be there all the same:
 * then the error says so.
 */
export function findIn<R>(freshness: Freshness, find: () => R): R {
  try {
    return find();
  } catch (error) {
    if (!freshness.stale || !SwarmError.is(error) || error.code !== 'NOT_FOUND') throw error;
    const { asOfWallMs, reason } = freshness;
    const asOf = asOfWallMs === 0 ? '' : `, as of ${new Date(asOfWallMs).toISOString()}`;
    const text = `${error.message} in a state that is stale${asOf} (${reason})`;
    const { code, advice, command, details } = error;
    throw new SwarmError(code, text, { cause: error, advice, command, details });
  }
}

/**
 * Before every read: makes the local state linearizable, or says that it could not. A read never
 * fails for want of a quorum; it is then marked stale, with the moment it was surely current: that of
 * the last read that was not, or of the newest entry, whichever is later. Only
 * where there is no state at all, on a manager that has just joined, it rejects with NO_QUORUM.
 */
export class FreshReads {
  readonly #deps: Pick<ControlDeps, 'reads' | 'clock' | 'store'>;
  /**
   * 0: never since this manager started. Then, and where it heard nothing of an entry since, its
   * state is that of its newest entry.
   */
  #freshAtWallMs = 0;
  /** Since when every try failed, and the last one that did. */
  #failing = { sinceMs: 0, lastMs: -Infinity };

  constructor(deps: Pick<ControlDeps, 'reads' | 'clock' | 'store'>) {
    this.#deps = deps;
  }

  async before(consistency: Consistency): Promise<Freshness> {
    if (consistency === 'stale') return this.#stale('asked for');
    const { clock, reads } = this.#deps;
    const startMs = clock.monotonicMs();
    const waitMs = reads.leaderlessMs();
    let untilMs = startMs + waitMs;
    let reason = 'no manager leads with a quorum';
    for (let leftMs = waitMs; leftMs > 0; leftMs = untilMs - clock.monotonicMs()) {
      // When it was asked: what was acknowledged before is there, what came meanwhile may not be.
      const askedWallMs = clock.wallMs();
      const result = await this.#try(leftMs);
      if (typeof result !== 'string') {
        this.#freshAtWallMs = Math.max(this.#freshAtWallMs, askedWallMs);
        this.#failing = { sinceMs: 0, lastMs: -Infinity };
        return result;
      }
      if (result !== '') reason = result;
      // Whoever asks again while nobody leads does not wait the same time again. A leader that is
      // heard is waited for longer: this manager may have just started, and be catching up.
      const sinceMs = this.#failingSince(startMs, waitMs);
      untilMs = reads.hearsLeader()
        ? startMs + LIMITS.readWithoutLeaderMaxMs
        : Math.min(startMs, sinceMs) + waitMs;
      await delay(clock, Math.min(RETRY_MS, Math.max(0, untilMs - clock.monotonicMs())));
    }
    return this.#stale(reason);
  }

  /** Since when tries fail, one right after the other; `startMs` when this read is the first. */
  #failingSince(startMs: number, waitMs: number): number {
    const nowMs = this.#deps.clock.monotonicMs();
    const before = this.#failing;
    const goesOn = nowMs - before.lastMs <= waitMs;
    this.#failing = { sinceMs: goesOn ? before.sinceMs : startMs, lastMs: nowMs };
    return this.#failing.sinceMs;
  }

  /** One attempt within `leftMs`; a text says why it did not succeed, empty after the deadline. */
  #try(leftMs: number): Promise<Freshness | string> {
    return new Promise((resolve) => {
      const timer = this.#deps.clock.setTimer(leftMs, () => resolve(''));
      this.#deps.reads.linearize('linearizable').then(
        (freshness) => {
          timer.cancel();
          resolve(freshness);
        },
        (error: unknown) => {
          timer.cancel();
          resolve(messageOf(error));
        },
      );
    });
  }

  #stale(reason: string): Freshness {
    const { clock, store } = this.#deps;
    // What it shows would look like a cluster in which nothing is.
    if (store.view.index === 0) {
      const text = `this manager has not received the state of the cluster yet (${reason})`;
      throw new SwarmError('NO_QUORUM', text, { advice: 'Ask another manager.' });
    }
    // By its leader's clock, which may be ahead of ours.
    const entryWallMs = Math.min(store.view.wallMs, clock.wallMs());
    const asOfWallMs = Math.floor(Math.max(this.#freshAtWallMs, entryWallMs));
    return Freshness.create({ stale: true, asOfWallMs, reason });
  }
}
