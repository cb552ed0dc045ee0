/**
 * `npm run sim:mutants [-- --seeds N] [--only TEXT] [--workers N]`: plants each known bug and runs
 * seeds until one fails; prints how many it took, and as what. What finds a bug has to hold without
 * it: the same seed is run again with everything but the bug.
 */
import { parseArgs } from 'node:util';
import { Crew, EVENTS_DEFAULT, type Order, type Report } from './crew.ts';
import { MUTANTS, type Mutant, TOOK_EFFECT } from './mutants/mutants.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    only: { type: 'string', default: '' },
    workers: { type: 'string' },
  },
});
const SHOWN = 90;
const PROGRESS_EVERY = 25;

interface Hunt {
  readonly found: Report | undefined;
  readonly seeds: number;
  /** Seeds in which the bug made a difference, as far as it can tell. */
  readonly effective: number;
}

async function main(): Promise<number> {
  let missed = 0;
  console.log('| bug | planted | tilted towards | seeds | found as |');
  console.log('| --- | --- | --- | --- | --- |');
  const isWanted = ({ number, name }: Mutant) => `${number} ${name}`.includes(values.only);
  for (const mutant of MUTANTS.filter(isWanted)) {
    const hunt = await seedsUntilFound(mutant);
    const { what, isFound } = await judge(mutant, hunt);
    if (!isFound) missed++;
    const { number, name, profile } = mutant;
    console.log(
      `| ${number} | ${name} | ${profile ?? ''} | ${hunt.found?.seed ?? '–'} | ${what} |`,
    );
  }
  console.log(missed === 0 ? 'every bug was found' : `${missed} bugs were not found`);
  return missed === 0 ? 0 : 1;
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
async function seedsUntilFound(mutant: Mutant): Promise<Hunt> {
  const crew = new Crew(values.workers ? Number(values.workers) : undefined, mutant.name);
  let [seed, seeds, effective] = [1, 0, 0];
  let found: Report | undefined;
  const next = (): Order | undefined =>
    found || seed > Number(values.seeds) ? undefined : orderOf(mutant, seed++);
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

process.exitCode = await main();
