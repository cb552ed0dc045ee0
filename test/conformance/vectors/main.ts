/** `npm run vectors -- DIR`: runs every script below DIR against the core. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { runScripts } from './run.ts';

function main(): number {
  const vectors = process.env['SWARM_VECTORS'] ?? '';
  const directory = process.argv[2] ?? (vectors === '' ? '' : join(vectors, 'etcd-raft'));
  if (directory === '') {
    console.error('no scripts: name a directory, or set SWARM_VECTORS to the test vectors');
    return 2;
  }
  if (!existsSync(directory)) {
    console.error(`no scripts: there is no ${directory}`);
    return 2;
  }
  const results = runScripts(directory);
  const failed = results.filter((r) => r.difference !== '');
  for (const { name, difference } of failed) console.log(`${name}: ${difference}`);
  console.log(`${results.length - failed.length} of ${results.length} scripts hold`);
  return results.length > 0 && failed.length === 0 ? 0 : 1;
}

process.exitCode = main();
