/**
 * `npm run sim:mutants [-- --seeds N] [--only TEXT] [--workers N]`: plants each known bug and runs
 * seeds until one fails; prints how many it took.
 */
import { parseArgs } from 'node:util';
import { Crew, EVENTS_DEFAULT, type Order, type Report } from './crew.ts';
import { MUTANTS } from './mutants/mutants.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    only: { type: 'string', default: '' },
    workers: { type: 'string' },
  },
});
const SHOWN = 90;

async function main(): Promise<number> {
  let missed = 0;
  console.log('| bug | planted | seeds | found as |');
  console.log('| --- | --- | --- | --- |');
  for (const { number, name } of MUTANTS.filter((mutant) => mutant.name.includes(values.only))) {
    const found = await seedsUntilFound(name);
    if (!found) missed++;
    const what = found ? found.violations[0]!.replaceAll('|', ' ').slice(0, SHOWN) : 'NOT FOUND';
    console.log(`| ${number} | ${name} | ${found?.seed ?? '-'} | ${what} |`);
  }
  console.log(missed === 0 ? 'every bug was found' : `${missed} bugs were not found`);
  return missed === 0 ? 0 : 1;
}

/** The report of the lowest seed that fails, counted from 1. */
async function seedsUntilFound(name: string): Promise<Report | undefined> {
  const crew = new Crew(values.workers ? Number(values.workers) : undefined, name);
  let seed = 1;
  let found: Report | undefined;
  const next = (): Order | undefined =>
    found || seed > Number(values.seeds) ? undefined : { seed: seed++, events: EVENTS_DEFAULT };
  await crew.runAll(next, (report) => {
    const isBetter = !found || report.seed < found.seed;
    if (report.violations.length > 0 && isBetter) found = report;
  });
  crew.close();
  return found;
}

process.exitCode = await main();
