/**
 * `npm run sim -- --seeds N [--seed S] [--events E] [--trace]`: runs N seeds from S on, and prints
 * what fired. `--first` ends at the first seed that fails; `--mutant NAME` plants a bug.
 */
import { register } from 'node:module';
import { parseArgs } from 'node:util';
import { Counters } from './counters.ts';
import { MUTANTS } from './mutants.ts';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    events: { type: 'string', default: '20000' },
    trace: { type: 'boolean', default: false },
    first: { type: 'boolean', default: false },
    mutant: { type: 'string' },
  },
});

async function main(): Promise<number> {
  if (values.mutant !== undefined) plant(values.mutant);
  // After the bug is planted: what is loaded is changed as it is loaded.
  const { simulate } = await import('./world.ts');
  const [count, first, events] = [values.seeds, values.seed, values.events].map(Number);
  const total = new Counters();
  let [ran, failed, done] = [0, 0, 0];
  for (let seed = first!; seed < first! + count! && !(values.first && failed > 0); seed++) {
    const result = await simulate(seed, events, values.trace ? console.log : undefined);
    ran += result.events;
    done++;
    total.add(result.counters);
    if (result.violations.length === 0) continue;
    failed++;
    console.log(`seed ${seed} fails after ${result.events} events (${result.machines} machines):`);
    for (const violation of result.violations) console.log(`  ${violation}`);
    console.log(`  again: npm run sim -- --seeds 1 --seed ${seed} --events ${events}`);
  }
  const { user, system } = process.cpuUsage();
  const seconds = (user + system) / 1e6;
  for (const line of total.lines()) console.log(line);
  const rate = Math.round(ran / seconds);
  console.log(
    `${done - failed} of ${done} seeds hold, ${ran} events, ${rate} events a second of CPU`,
  );
  return failed === 0 ? 0 : 1;
}

function plant(name: string): void {
  const mutant = MUTANTS.find((known) => known.name === name);
  if (!mutant) throw new Error(`no such bug: ${name}`);
  const url = import.meta.url.replace('main', 'mutant-hooks');
  register(url, { data: { patches: mutant.patches } });
}

process.exitCode = await main();
