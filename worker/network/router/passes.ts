import { Backoff } from '../../../shared/backoff.ts';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { Random } from '../../../shared/random.ts';

export interface PassesDeps {
  readonly clock: Clock;
  readonly random: Random;
  /**
   * One pass; `look`: over all that is there, not only what is wanted anew. `held`: it cannot be done
   * before somebody asks for the next.
   */
  readonly work: (look: boolean) => Promise<'well' | 'unwell' | 'held'>;
}

/** What is looked at although nobody said that it changed. */
const LOOK_MS = 30_000;
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 10_000;
/**
 * What changes while a pass runs or this soon after it is most likely its own doing; after one that took
 * longer, as long: where the machine is busy, news comes late. Never longer than the greatest.
 */
const OWN_NOISE_MS = 100;
const OWN_NOISE_MS_MAX = 1_000;
/** It may have been somebody else's nevertheless: it is looked at once more when this long is quiet. */
const DOUBT_MS = 1_500;
/** While rows keep coming, looks would hold them up: so late at the latest. */
const DOUBT_MS_MAX = 10_000;

/**
 * When a router's passes run: one after the other, when asked for, every half a minute, soon after one
 * that did not do everything, and when somebody else has changed something.
 */
export class Passes {
  readonly #deps: PassesDeps;
  readonly #backoff: Backoff;
  #isOpen = false;
  #look = true;
  /** The last of those that run or will. */
  #running: Promise<void> | undefined;
  /** It has not begun: what is wanted until then is done in it. */
  #next: Promise<void> | undefined;
  #quietAtMs = 0;
  #timer: Timer | undefined;
  #doubt: { readonly endMs: number; timer: Timer } | undefined;

  constructor(deps: PassesDeps) {
    this.#deps = deps;
    this.#backoff = new Backoff(deps.random, RETRY_MIN_MS, RETRY_MAX_MS);
  }
  /** From now on they also come by themselves. */
  open(): void {
    this.#isOpen = true;
  }
  /** Resolves when none runs any more. */
  async close(): Promise<void> {
    this.#isOpen = false;
    this.#timer?.cancel();
    this.#doubt?.timer.cancel();
    await this.#running;
  }
  /** Resolves after a pass that began after this. Calls that come while one runs share the next. */
  run(look: boolean): Promise<void> {
    this.#look ||= look;
    if (this.#next !== undefined) return this.#next;
    const before = this.#running ?? Promise.resolve();
    const next = before.then(() => {
      this.#next = undefined;
      return this.#pass();
    });
    const running = next.finally(() => {
      if (this.#running === running) this.#running = undefined;
    });
    this.#next = next;
    this.#running = running;
    return next;
  }
  /** Something has changed: somebody else's doing, or that of a pass. */
  disturbed(): void {
    if (!this.#isOpen) return;
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#running === undefined && nowMs >= this.#quietAtMs) void this.run(true);
    else this.#doubtAt(nowMs);
  }

  async #pass(): Promise<void> {
    const { clock, work } = this.#deps;
    const look = this.#look;
    this.#look = false;
    const startMs = clock.monotonicMs();
    const end = await work(look);
    if (end === 'held') {
      this.#look ||= look;
      return;
    }
    const nowMs = clock.monotonicMs();
    this.#quietAtMs = nowMs + Math.min(OWN_NOISE_MS_MAX, Math.max(OWN_NOISE_MS, nowMs - startMs));
    this.#arm(end === 'well');
  }
  #arm(isWell: boolean): void {
    this.#timer?.cancel();
    if (!this.#isOpen) return;
    if (isWell) this.#backoff.reset();
    const afterMs = isWell ? LOOK_MS : this.#backoff.nextDelayMs();
    this.#timer = this.#deps.clock.setTimer(afterMs, () => void this.run(true));
  }
  #doubtAt(nowMs: number): void {
    this.#doubt?.timer.cancel();
    const endMs = this.#doubt?.endMs ?? nowMs + DOUBT_MS_MAX;
    const timer = this.#deps.clock.setTimer(Math.min(DOUBT_MS, endMs - nowMs), () => {
      this.#doubt = undefined;
      void this.run(true);
    });
    this.#doubt = { endMs, timer };
  }
}
