import { readFileSync } from 'node:fs';

/** Pauses of an event loop. On a loaded machine a process is not always let run: that is no work. */
export interface Pauses {
  /** Longest time that it did not turn. */
  readonly pauseMs: number;
  /** Longest time that it worked without turning. */
  readonly busyMs: number;
}

export interface LoadResult extends Pauses {
  readonly perSecond: number;
  /** The fastest tenth: what it takes when nothing else wants the machine. */
  readonly p10Ms: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU time of all processes for each answer, where it was measured. */
  readonly cpuUs?: number;
}

/**
 * A closed loop: `width` loops, each asks again when it was answered. Measured after `warmMs`, for
 * `runMs`. An error of `once` ends the load with it.
 */
export async function closedLoop(
  width: number,
  warmMs: number,
  runMs: number,
  once: () => Promise<unknown>,
): Promise<LoadResult> {
  const latencies: number[] = [];
  const pauses = new PauseWatch();
  const startMs = performance.now() + warmMs;
  const endMs = startMs + runMs;
  const loop = async (): Promise<void> => {
    for (;;) {
      const askedMs = performance.now();
      if (askedMs >= endMs) return;
      await once();
      const doneMs = performance.now();
      if (doneMs >= startMs && doneMs < endMs) latencies.push(doneMs - askedMs);
    }
  };
  await Promise.all(Array.from({ length: width }, loop));
  const longest = pauses.stop();
  const sorted = Float64Array.from(latencies).sort();
  return {
    perSecond: (sorted.length * 1000) / runMs,
    p10Ms: quantile(sorted, 0.1),
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    ...longest,
  };
}

/** How long the event loop of this process stood still at most. */
export class PauseWatch {
  readonly #timer = setInterval(() => this.#look(), RESOLUTION_MS);
  #atMs = performance.now();
  #ranMs = mainThreadMs() ?? 0;
  #pauseMs = 0;
  #busyMs = 0;

  stop(): Pauses {
    this.#look();
    clearInterval(this.#timer);
    return { pauseMs: this.#pauseMs, busyMs: this.#busyMs };
  }

  #look(): void {
    const nowMs = performance.now();
    const lateMs = nowMs - this.#atMs - RESOLUTION_MS;
    const ranMs = mainThreadMs();
    this.#pauseMs = Math.max(this.#pauseMs, lateMs);
    this.#busyMs = Math.max(this.#busyMs, ranMs === undefined ? lateMs : ranMs - this.#ranMs);
    this.#atMs = nowMs;
    this.#ranMs = ranMs ?? 0;
  }
}

/** What the main thread has run so far; the kernel counts that apart from waiting for a CPU. */
function mainThreadMs(): number | undefined {
  try {
    const text = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1');
    return Number(text.split(' ')[0]) / 1e6;
  } catch {
    return undefined;
  }
}

const RESOLUTION_MS = 5;

function quantile(sorted: Float64Array, part: number): number {
  if (sorted.length === 0) return 0;
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}
