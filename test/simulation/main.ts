/** `npm run sim -- --seeds N [--seed S] [--events E] [--trace]`: runs N seeds from S on; prints what fired. */
import { parseArgs } from 'node:util';
import { Counters } from './counters.ts';
import { EVENTS_DEFAULT, simulate } from './world.ts';

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '100' },
      seed: { type: 'string', default: '1' },
      trace: { type: 'boolean', default: false },
      events: { type: 'string', default: String(EVENTS_DEFAULT) },
    },
  });
  const [count, first, events] = [values.seeds, values.seed, values.events].map(Number);
  const total = new Counters();
  let ran = 0;
  let failed = 0;
  const startMs = performance.now();
  for (let seed = first!; seed < first! + count!; seed++) {
    const result = await simulate(seed, events, values.trace ? console.log : undefined);
    ran += result.events;
    total.add(result.counters);
    if (result.violations.length === 0) continue;
    failed++;
    console.log(`seed ${seed} fails after ${result.events} events (${result.machines} machines):`);
    for (const violation of result.violations) console.log(`  ${violation}`);
    console.log(`  again: npm run sim -- --seeds 1 --seed ${seed} --events ${events}`);
  }
  const seconds = (performance.now() - startMs) / 1_000;
  for (const line of total.lines()) console.log(line);
  console.log(
    `${count! - failed} of ${count} seeds hold, ${ran} events, ` +
      `${Math.round(ran / seconds)} events a second`,
  );
  return failed === 0 ? 0 : 1;
}

process.exitCode = await main();
