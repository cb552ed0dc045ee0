import assert from 'node:assert/strict';

/** A busy machine, or a slow one, is granted no more than this. */
export const SLOWNESS_MAX = 4;
const ROUNDS = 100_000_000;
/** What these take on a machine with nothing else to do, of the speed that the promises are made for. */
const ROUNDS_MS = 210;

/**
 * How many times as long as on a quiet machine work takes here now: 1 where nothing else runs. Takes a
 * fifth of a second of CPU, during which nothing else of this process runs.
 */
function slowness(): number {
  const startMs = performance.now();
  let x = 1;
  for (let round = 0; round < ROUNDS; round++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
  }
  assert.notEqual(x, 0);
  return Math.min(SLOWNESS_MAX, Math.max(1, (performance.now() - startMs) / ROUNDS_MS));
}

/** Something that is promised within so long was: a machine that is slower by then has as much longer. */
export function assertWithin(promisedMs: number, tookMs: number, what: string): void {
  if (tookMs <= promisedMs) return;
  const factor = slowness();
  const told = `${what}: ${Math.round(tookMs)} ms, promised within ${promisedMs} ms`;
  assert.ok(
    tookMs <= promisedMs * factor,
    `${told}; this machine is ${factor.toFixed(1)} times as slow as a quiet one`,
  );
}
