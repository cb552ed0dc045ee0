/** `npm run sim:mutants [-- --seeds N] [--only TEXT]`: plants each bug; prints the seeds it took. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MUTANTS } from './mutants.ts';

/** One seed takes about a second. */
const MS_PER_SEED = 20_000;

function main(): number {
  const { values } = parseArgs({
    options: { seeds: { type: 'string', default: '2000' }, only: { type: 'string', default: '' } },
  });
  const script = fileURLToPath(import.meta.url).replace('mutants-main', 'main');
  let missed = 0;
  console.log(' seeds  bug');
  for (const { name } of MUTANTS.filter((mutant) => mutant.name.includes(values.only))) {
    const args = [script, '--seeds', values.seeds, '--first', '--mutant', name];
    const timeout = MS_PER_SEED * Number(values.seeds);
    const run = spawnSync(process.execPath, args, { encoding: 'utf8', timeout });
    const found = /^seed (\d+) fails.*\n +(.*)/m.exec(run.stdout);
    if (!found) missed++;
    const broken =
      run.status === 0 || found ? '' : run.stderr.trim().split('\n').slice(-8).join(' ');
    const what = found ? found[2]!.slice(0, 100) : `NOT FOUND ${broken}`;
    console.log(`${(found?.[1] ?? '-').padStart(6)}  ${name}: ${what}`);
  }
  console.log(missed === 0 ? 'every bug was found' : `${missed} bugs were not found`);
  return missed === 0 ? 0 : 1;
}

process.exitCode = main();
