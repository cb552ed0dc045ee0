// `npm run test:nodes`: the main job on the other Node.js releases that are supported. Their binaries
// come as npm packages into a folder of this clone's build, not into its dependencies.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const FOLDER = join(ROOT, 'dist', 'nodes');
const MAJORS = [22, 24];
const MAIN_JOB = ['test/integration/main'];

const wanted = process.argv.slice(2);
const tests = wanted.length > 0 ? wanted : MAIN_JOB;
let failed = 0;
for (const major of MAJORS) {
  const binary = install(major);
  process.stdout.write(`\n== Node.js ${version(binary)}\n`);
  const run = spawnSync(binary, [join(ROOT, 'deploy', 'run.mjs'), 'test', ...tests], {
    cwd: ROOT,
    stdio: 'inherit',
  });
  if (run.status !== 0) failed++;
}
process.exit(failed === 0 ? 0 : 1);

function install(major) {
  const name = `node-linux-${process.arch}`;
  const place = join(FOLDER, String(major));
  const binary = join(place, 'node_modules', name, 'bin', 'node');
  if (existsSync(binary)) return binary;
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), '{"private":true}\n');
  const args = ['install', '--ignore-scripts', '--no-audit', '--no-fund', `${name}@${major}`];
  const npm = spawnSync('npm', args, { cwd: place, stdio: ['ignore', 'ignore', 'inherit'] });
  if (npm.status !== 0 || !existsSync(binary)) {
    process.stderr.write(`Error: ${name}@${major} could not be installed.\n`);
    process.exit(1);
  }
  return binary;
}

function version(binary) {
  return spawnSync(binary, ['--version'], { encoding: 'utf8' }).stdout.trim();
}
