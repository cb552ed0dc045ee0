// Runs the compiled tests folder by folder: unit tests first, what crosses folders next, real daemons
// last. Prints failures with the output of their file, what was skipped and why, the time of each
// folder and of the longest files with real daemons, and last of all "N passed, N failed, N skipped".
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { runInLanes } from './test-lanes.mjs';
import { runFiles } from './test-run.mjs';

/** In the order in which they run. `alone`: a file has the machine's network to itself. */
const FOLDERS = [
  { path: 'proto' },
  { path: 'shared' },
  { path: 'manager' },
  { path: 'worker' },
  { path: 'daemon' },
  { path: 'cli' },
  { path: 'deploy' },
  { path: 'test', only: true },
  { path: 'test/support' },
  { path: 'test/simulation' },
  { path: 'test/scenarios' },
  { path: 'test/conformance' },
  { path: 'test/integration', alone: true },
];

/** How many of the files with real daemons are listed with their times. */
const LONGEST = 12;

/** `args`: folders or files (as sources or compiled), none means all. Resolves to the exit code. */
export async function runTests(root, args) {
  const wanted = args.map((arg) => relative(root, resolve(root, arg)));
  const total = { passed: 0, failed: 0, skipped: 0 };
  const times = [];
  for (const folder of FOLDERS) {
    const files = sources(root, folder).filter((file) => isWanted(file, wanted));
    if (files.length === 0) continue;
    const startMs = performance.now();
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const seen = (result) => {
      counts[result.kind]++;
      if (result.text !== '') process.stdout.write(result.text);
    };
    // Plain JavaScript is run as it lies there.
    const compiled = files.map((file) =>
      file.endsWith('.mjs') ? join(root, file) : join(root, 'dist', file.replace(/\.ts$/, '.js')),
    );
    if (folder.alone) slowest(root, await runInLanes(root, compiled, seen));
    else await runFiles(root, compiled, { concurrency: true }, seen);
    for (const key of Object.keys(total)) total[key] += counts[key];
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    const failed = counts.failed > 0 ? `, ${counts.failed} FAILED` : '';
    const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
    times.push(
      `${seconds.padStart(7)} s  ${folder.path} (${counts.passed} passed${failed}${skipped})`,
    );
    process.stdout.write(`${times.at(-1)}\n`);
  }
  if (times.length === 0) {
    process.stderr.write(`Error: no tests in ${args.join(', ') || 'this clone'}.\n`);
    return 2;
  }
  const { passed, failed, skipped } = total;
  process.stdout.write(`${passed} passed, ${failed} failed, ${skipped} skipped\n`);
  return failed > 0 ? 1 : 0;
}

/** Where the time of the longest folder goes, so that nobody has to guess which file to shorten. */
function slowest(root, took) {
  const order = took.toSorted((a, b) => b.seconds - a.seconds).slice(0, LONGEST);
  for (const { file, seconds } of order) {
    const name = relative(join(root, 'dist'), file).replace(/\.js$/, '.ts');
    process.stdout.write(`${seconds.toFixed(1).padStart(7)} s    ${name}\n`);
  }
}

/** Sources decide, not what lies in dist: a deleted test leaves its compiled file behind. */
function sources(root, folder) {
  const found = [];
  const walk = (dir) => {
    if (!existsSync(dir)) return;
    for (const entry of readdirSync(dir, { withFileTypes: true })) {
      const path = join(dir, entry.name);
      if (entry.isDirectory() && !folder.only) walk(path);
      else if (entry.isFile() && /\.test\.(ts|mjs)$/.test(entry.name))
        found.push(relative(root, path));
    }
  };
  walk(join(root, folder.path));
  return found.sort();
}

function isWanted(file, wanted) {
  if (wanted.length === 0) return true;
  return wanted.some((raw) => {
    const name = raw
      .replace(/^dist\//, '')
      .replace(/\.js$/, '.ts')
      .replace(/\/$/, '');
    return file === name || file.startsWith(`${name}${sep}`);
  });
}
