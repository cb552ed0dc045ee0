/** `npm run sim`: see USAGE. */
import { parseArgs } from 'node:util';
import { oneOf, parsed, runMain, wholeNumber } from './command-line.ts';
import { Crew, EVENTS_DEFAULT, type Order } from './crew.ts';
import { MUTANTS } from './mutants/mutants.ts';
import { PROFILES } from './profiles.ts';
import { describeFailure, Total } from './report.ts';
import { shrink } from './shrink.ts';

const USAGE = `npm run sim -- [--seeds N] [--seed S] [...]: runs N seeds (100) from S (1) on, side by
side; prints how often each fault struck and each branch was taken, and the minimal failing schedule
of the first seed that fails, with the command that repeats it.

  --first          end at the first failure
  --whole          shrink nothing
  --workers N      as many processes; else one a core
  --events N       so much happens before everything has to heal (${EVENTS_DEFAULT})
  --profile NAME   tilt the runs: ${Object.keys(PROFILES).join(', ')}
  --faults 3,17    only these of a seed's faults happen; none: none does
  --mutant NAME    plant a bug (npm run sim:mutants names them)
  --trace          print what happens, as it does`;

/** A failure that is shrunk takes this many runs at most. */
const SHRINK_RUNS = 400;

interface Wanted {
  readonly order: Omit<Order, 'seed'>;
  readonly first: number;
  readonly count: number;
  readonly workers: number | undefined;
  readonly mutant: string | undefined;
  readonly endsAtFailure: boolean;
  readonly isShrunk: boolean;
}

const OPTIONS = {
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
} as const;

function wanted(): Wanted {
  const { values } = parsed(() => parseArgs({ options: OPTIONS }));
  const { mutant, profile, trace: isTraced } = values;
  oneOf('profile', profile, Object.keys(PROFILES));
  oneOf(
    'mutant',
    mutant,
    MUTANTS.map(({ name }) => name),
  );
  const faults = values.faults === undefined ? undefined : faultsOf(values.faults);
  const events = wholeNumber('events', values.events, 1);
  const workers = values.workers && wholeNumber('workers', values.workers, 1);
  return {
    order: { events, isTraced, profile, ...(faults && { faults }) },
    first: wholeNumber('seed', values.seed, 0),
    count: wholeNumber('seeds', values.seeds, 1),
    workers: isTraced ? 1 : workers || undefined,
    mutant,
    endsAtFailure: values.first,
    isShrunk: !values.whole && !isTraced && !faults,
  };
}

function faultsOf(text: string): number[] {
  if (text === 'none') return [];
  return text.split(',').map((number) => wholeNumber('faults', number, 0));
}

async function main(): Promise<number> {
  const { order, first, count, workers, mutant, endsAtFailure, isShrunk } = wanted();
  const total = new Total();
  const crew = new Crew(workers, mutant);
  let seed = first;
  const next = (): Order | undefined => {
    const isOver = seed >= first + count || (endsAtFailure && total.failures.length > 0);
    return isOver ? undefined : { ...order, seed: seed++ };
  };
  await crew.runAll(next, (report) => {
    total.add(report);
    if (report.violations.length > 0) say(describeFailure(report, mutant));
  });
  const [failure] = total.failures;
  if (failure && isShrunk) {
    const { report, runs } = await shrink(failure, (shorter) => crew.run(shorter), SHRINK_RUNS);
    say([`the least that fails, found in ${runs} runs:`, ...describeFailure(report, mutant)]);
  }
  crew.close();
  say([...total.lines(), total.summary()]);
  return total.failures.length === 0 ? 0 : 1;
}

function say(lines: readonly string[]): void {
  for (const line of lines) console.log(line);
}

await runMain(main, USAGE);
