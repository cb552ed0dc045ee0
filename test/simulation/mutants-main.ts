/** `npm run sim:mutants`: see USAGE. */
import { parseArgs } from 'node:util';
import { parsed, runMain, UsageError, wholeNumber } from './command-line.ts';
import { Crew, EVENTS_DEFAULT, type Order, type Report } from './crew.ts';
import { type Mutant, TOOK_EFFECT } from './mutants/mutant.ts';
import { MUTANTS } from './mutants/mutants.ts';

const USAGE = `npm run sim:mutants [-- --seeds N] [--only TEXT] [--workers N]: plants each known bug, one
at a time, and runs seeds until one fails; prints how many it took, and as what it was found. What
finds a bug has to hold without it: the same seed is run again with everything but the bug.

  --seeds N      give a bug up after so many (2000)
  --only TEXT    bugs whose number, or "above raft", and name contain it
  --workers N    as many processes; else one a core`;

const SHOWN = 90;
const PROGRESS_EVERY = 25;

interface Hunt {
  readonly found: Report | undefined;
  readonly seeds: number;
  /** Seeds in which the bug made a difference, as far as it can tell. */
  readonly effective: number;
}

async function main(): Promise<number> {
  const { seedsMax, workers, mutants } = wanted();
  let missed = 0;
  console.log('| bug | planted | tilted towards | seeds | found as |');
  console.log('| --- | --- | --- | --- | --- |');
  for (const mutant of mutants) {
    const hunt = await seedsUntilFound(mutant, seedsMax, workers);
    const { what, isFound } = await judge(mutant, hunt);
    if (!isFound) missed++;
    const { number, name, profile } = mutant;
    console.log(
      `| ${number || ''} | ${name} | ${profile ?? ''} | ${hunt.found?.seed ?? '–'} | ${what} |`,
    );
  }
  console.log(missed === 0 ? 'every bug was found' : `${missed} bugs were not found`);
  return missed === 0 ? 0 : 1;
}

const OPTIONS = {
  seeds: { type: 'string', default: '2000' },
  only: { type: 'string', default: '' },
  workers: { type: 'string' },
} as const;

function wanted() {
  const { values } = parsed(() => parseArgs({ options: OPTIONS }));
  const mutants = MUTANTS.filter((mutant) => labelOf(mutant).includes(values.only));
  if (mutants.length === 0) throw new UsageError(`no bug is called "${values.only}"`);
  const workers = values.workers && wholeNumber('workers', values.workers, 1);
  return {
    seedsMax: wholeNumber('seeds', values.seeds, 1),
    workers: workers || undefined,
    mutants,
  };
}

/** Of the twenty by its number; the others stand above raft. */
function labelOf({ number, name }: Mutant): string {
  return `${number || 'above raft'} ${name}`;
}

async function judge(mutant: Mutant, { found, seeds, effective }: Hunt) {
  if (!found) {
    const what = `NOT FOUND in ${seeds}; it made a difference in ${effective}`;
    return { what, isFound: false };
  }
  const control = new Crew(1, mutant.name, 'without it');
  const { violations } = await control.run(orderOf(mutant, found.seed));
  control.close();
  const isFound = violations.length === 0;
  const failure = inShort(isFound ? found.violations[0]! : violations[0]!);
  return { what: isFound ? failure : `NOT FOUND: fails without it as well, ${failure}`, isFound };
}

/** What was found, and not on which machine. */
function inShort(violation: string): string {
  const [line] = violation.replace(/^machine \d+ \(raft id \d+\): /, '').split('\n');
  return line!.replaceAll('|', ' ').slice(0, SHOWN);
}

/** The report of the lowest seed that fails, counted from 1. */
async function seedsUntilFound(
  mutant: Mutant,
  seedsMax: number,
  workers: number | undefined,
): Promise<Hunt> {
  const crew = new Crew(workers, mutant.name);
  let [seed, seeds, effective] = [1, 0, 0];
  let found: Report | undefined;
  const next = (): Order | undefined =>
    found || seed > seedsMax ? undefined : orderOf(mutant, seed++);
  await crew.runAll(next, (report) => {
    seeds++;
    if ((report.counts[TOOK_EFFECT] ?? 0) > 0) effective++;
    const isBetter = !found || report.seed < found.seed;
    if (report.violations.length > 0 && isBetter) found = report;
    if (seeds % PROGRESS_EVERY === 0)
      console.error(`${mutant.name}: ${seeds} seeds, it made a difference in ${effective}`);
  });
  crew.close();
  return { found, seeds, effective };
}

function orderOf({ profile }: Mutant, seed: number): Order {
  return { seed, events: EVENTS_DEFAULT, profile };
}

await runMain(main, USAGE);
