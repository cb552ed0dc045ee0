import type { Order, Report } from './crew.ts';

/** A run that fails in the same way with less: the least that was found. */
export interface Shrunk {
  readonly report: Report;
  /** How many runs it took. */
  readonly runs: number;
}

const EVENTS_MIN = 300;

/**
 * The minimal failing schedule: leaves out faults, first half of them, then smaller parts, as long as
 * the run still fails in the same way; then tries with fewer events before everything heals.
 */
export async function shrink(
  failing: Report,
  run: (order: Order) => Promise<Report>,
  runsMax: number,
): Promise<Shrunk> {
  let best = failing;
  let runs = 0;
  const kind = kindOf(failing);
  const { seed, profile } = failing;
  const failsWith = async (faults: readonly number[], events: number): Promise<boolean> => {
    if (runs >= runsMax) return false;
    runs++;
    const report = await run({ seed, profile, events, faults });
    if (kindOf(report) !== kind) return false;
    best = report;
    return true;
  };
  let faults = failing.struck.map(({ number }) => number);
  for (let size = faults.length; size >= 1; size = Math.floor(size / 2)) {
    for (let from = faults.length; from > 0; from -= size) {
      const without = faults.filter((_, at) => at < from - size || at >= from);
      if (await failsWith(without, failing.events)) faults = without;
    }
  }
  // What comes after the failure is never struck.
  const struck = new Set(best.struck.map(({ number }) => number));
  faults = faults.filter((number) => struck.has(number));
  let { events } = failing;
  while (events > EVENTS_MIN && (await failsWith(faults, Math.floor(events / 2))))
    events = Math.floor(events / 2);
  return { report: { ...best, faults }, runs };
}

/** What went wrong, whoever it went wrong with; empty: nothing did. */
function kindOf({ violations }: Report): string {
  const [first = ''] = violations;
  return first
    .replace(/(?: after \d+ ms|linearizable|is another one): .*/s, '')
    .replace(/[\d.]+/g, '#');
}
