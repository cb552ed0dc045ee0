/** `npm run vectors -- DIR`: runs every script below DIR against the core. */
import { existsSync } from 'node:fs';
import { namedDirectory } from '../named-directory.ts';
import { runScripts } from './run.ts';

function main(): number {
  const directory = namedDirectory('etcd-raft');
  if (directory === '') {
    console.error('no scripts: name a directory, or set SWARM_VECTORS to the test vectors');
    return 2;
  }
  if (!existsSync(directory)) {
    console.error(`no scripts: there is no ${directory}`);
    return 2;
  }
  const results = runScripts(directory);
  if (results.length === 0) {
    console.error(`no scripts: ${directory} has no file that ends in .txt`);
    return 2;
  }
  const failed = results.filter((r) => r.difference !== '');
  for (const { name, difference } of failed) console.log(`${name}: ${difference}`);
  console.log(`${results.length - failed.length} of ${results.length} scripts hold`);
  return failed.length === 0 ? 0 : 1;
}

process.exitCode = main();
