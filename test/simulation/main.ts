/**
 * `npm run sim -- --seeds N [--seed S] [--events E]`: runs N seeds from S on side by side, prints
 * what was struck and taken, and the minimal failing schedule of what fails. `--first` ends at the
 * first failure, `--faults 3,17` lets only these happen, `--mutant NAME` plants a bug, `--profile
 * NAME` tilts the runs (profiles.ts), `--workers N` says how many processes, `--trace` prints what
 * happens in one seed, `--whole` shrinks nothing.
 */
import { parseArgs } from 'node:util';
import { Crew, EVENTS_DEFAULT, type Order } from './crew.ts';
import { describeFailure, Total } from './report.ts';
import { shrink } from './shrink.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    events: { type: 'string', default: String(EVENTS_DEFAULT) },
    faults: { type: 'string' },
    workers: { type: 'string' },
    mutant: { type: 'string' },
    profile: { type: 'string' },
    first: { type: 'boolean', default: false },
    trace: { type: 'boolean', default: false },
    whole: { type: 'boolean', default: false },
  },
});
/** A failure that is shrunk takes this many runs at most. */
const SHRINK_RUNS = 400;

async function main(): Promise<number> {
  const [count, first, events] = [values.seeds, values.seed, values.events].map(Number);
  const faults = values.faults?.split(',').map(Number).filter(Number.isInteger);
  const orderOf = (seed: number): Order => ({
    seed,
    events: events!,
    isTraced: values.trace,
    profile: values.profile,
    ...(faults && { faults }),
  });
  const total = new Total();
  const workers = values.trace ? 1 : values.workers && Number(values.workers);
  const crew = new Crew(workers || undefined, values.mutant);
  let seed = first!;
  const next = (): Order | undefined => {
    if (seed >= first! + count! || (values.first && total.failures.length > 0)) return undefined;
    return orderOf(seed++);
  };
  await crew.runAll(next, (report) => {
    total.add(report);
    if (report.violations.length > 0) say(describeFailure(report, values.mutant));
  });
  const shrinks = values.whole || values.trace || faults ? [] : total.failures.slice(0, 1);
  for (const failure of shrinks) {
    const { report, runs } = await shrink(failure, (order) => crew.run(order), SHRINK_RUNS);
    say([
      `the least that fails, found in ${runs} runs:`,
      ...describeFailure(report, values.mutant),
    ]);
  }
  crew.close();
  say([...total.lines(), total.summary()]);
  return total.failures.length === 0 ? 0 : 1;
}

function say(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}

process.exitCode = await main();
