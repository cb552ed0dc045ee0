import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface LoadResult {
  readonly perSecond: number;
  /** The fastest tenth: what it takes when nothing else wants the machine. */
  readonly p10Ms: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Longest time that the event loop of the loading process did not turn. */
  readonly pauseMs: number;
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
  const pauseMs = pauses.stop();
  const sorted = Float64Array.from(latencies).sort();
  return {
    perSecond: (sorted.length * 1000) / runMs,
    p10Ms: quantile(sorted, 0.1),
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
    pauseMs,
  };
}

/** How long the event loop of this process stood still at most. */
export class PauseWatch {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });

  constructor() {
    this.#histogram.enable();
  }
  stop(): number {
    this.#histogram.disable();
    return Math.max(0, this.#histogram.max / 1e6 - RESOLUTION_MS);
  }
}

const RESOLUTION_MS = 5;

function quantile(sorted: Float64Array, part: number): number {
  if (sorted.length === 0) return 0;
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}
