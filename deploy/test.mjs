// Runs the compiled tests folder by folder: unit tests first, what crosses folders next, real daemons
// last and one file at a time. Prints failures with the output of their file, what was skipped and
// why, the time of each folder, and last of all "N passed, N failed, N skipped".
import { existsSync, readdirSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { run } from 'node:test';

/** In the order in which they run. `alone`: one file at a time. */
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

/** A file that takes longer hangs: it is ended and counts as failed. */
const FILE_MS = 15 * 60_000;

/** `args`: folders or files (as sources or compiled), none means all. Resolves to the exit code. */
export async function runTests(root, args) {
  const wanted = args.map((arg) => relative(root, resolve(root, arg)));
  const total = { passed: 0, failed: 0, skipped: 0 };
  const times = [];
  for (const folder of FOLDERS) {
    const files = sources(root, folder).filter((file) => isWanted(file, wanted));
    if (files.length === 0) continue;
    const startMs = performance.now();
    const counts = await runFolder(root, folder, files);
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

function runFolder(root, folder, files) {
  // Plain JavaScript is run as it lies there.
  const compiled = files.map((file) =>
    file.endsWith('.mjs') ? join(root, file) : join(root, 'dist', file.replace(/\.ts$/, '.js')),
  );
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const output = new Map();
  const shown = new Set();
  const stream = run({
    files: compiled,
    concurrency: folder.alone ? 1 : true,
    timeout: FILE_MS,
  });
  const say = (data) => {
    const text = output.get(data.file) ?? '';
    // Enough of the end to see what went wrong, never a flood.
    output.set(data.file, (text + data.message).slice(-64_000));
  };
  stream.on('test:stdout', say);
  stream.on('test:stderr', say);
  stream.on('test:pass', (data) => {
    if (data.details.type === 'suite') return;
    if (data.skip === undefined && data.todo === undefined) counts.passed++;
    else {
      counts.skipped++;
      const why = typeof data.skip === 'string' && data.skip !== '' ? `: ${data.skip}` : '';
      process.stdout.write(`  skipped ${place(root, data)} "${data.name}"${why}\n`);
    }
  });
  stream.on('test:fail', (data) => {
    const cause = data.details.error?.cause ?? data.details.error;
    // A suite or a parent fails because a test in it did: that one has been shown.
    if (data.details.type === 'suite' || data.details.error?.failureType === 'subtestsFailed')
      return;
    counts.failed++;
    process.stdout.write(
      `\nFAILED ${place(root, data)} "${data.name}"\n${indent(describe(cause))}\n`,
    );
    if (shown.has(data.file)) return;
    shown.add(data.file);
    const text = output.get(data.file);
    if (text) process.stdout.write(`  -- output of that file --\n${indent(text)}\n`);
  });
  return new Promise((done, fail) => {
    stream.on('end', () => done(counts));
    stream.on('error', fail);
    stream.resume();
  });
}

function place(root, data) {
  const file = relative(join(root, 'dist'), data.file ?? '').replace(/\.js$/, '.ts');
  return data.line === undefined ? file : `${file}:${data.line}`;
}

function describe(error) {
  if (error instanceof Error) return error.stack ?? error.message;
  if (typeof error === 'object' && error !== null)
    return error.stack ?? JSON.stringify(error, null, 2);
  return String(error);
}

function indent(text) {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => `  ${line}`)
    .join('\n');
}
