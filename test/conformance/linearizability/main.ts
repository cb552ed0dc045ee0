/** `npm run linearizability -- DIR`: judges the histories of DIR against its verdicts.tsv. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { namedDirectory } from '../named-directory.ts';
import { judgeDirectory } from './run.ts';

function main(): number {
  const directory = namedDirectory('linearizability');
  if (directory === '') {
    console.error('no histories: name a directory, or set SWARM_VECTORS to the test vectors');
    return 2;
  }
  const missing = [directory, join(directory, 'verdicts.tsv')].find((path) => !existsSync(path));
  if (missing !== undefined) {
    console.error(`no histories: there is no ${missing}`);
    return 2;
  }
  const verdicts = judgeDirectory(directory);
  if (verdicts.length === 0) {
    console.error(`no histories: ${join(directory, 'verdicts.tsv')} names none`);
    return 2;
  }
  const wrong = verdicts.filter((verdict) => verdict.expected !== verdict.found);
  for (const { name, expected, found, problem } of wrong) {
    if (problem !== '') console.log(`${name}: not judged: ${problem}`);
    else console.log(`${name}: judged ${found}, the verdict is ${expected}`);
  }
  console.log(`${verdicts.length - wrong.length} of ${verdicts.length} verdicts agree`);
  return wrong.length === 0 ? 0 : 1;
}

process.exitCode = main();
