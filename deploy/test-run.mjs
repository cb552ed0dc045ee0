// Runs compiled test files, each in a process of its own, and tells what became of each test.
import { join, relative } from 'node:path';
import { run } from 'node:test';

/** A file that takes longer hangs: it is ended and counts as failed. */
const FILE_MS = 8 * 60_000;

/**
 * Calls `seen` with `{kind: 'passed' | 'failed' | 'skipped', text}` for each test; `text` is what a
 * person should read of it, or ''. Resolves when all files have ended.
 */
export function runFiles(root, files, { concurrency }, seen) {
  const output = new Map();
  const shown = new Set();
  const begun = new Map();
  const stream = run({ files, concurrency, timeout: FILE_MS });
  const say = (data) => {
    const text = output.get(data.file) ?? '';
    // Enough of the end to see what went wrong, never a flood.
    output.set(data.file, (text + data.message).slice(-64_000));
  };
  stream.on('test:stdout', say);
  stream.on('test:stderr', say);
  // A file that is ended cannot tell any more which test it was in.
  stream.on('test:dequeue', (data) => {
    if (!isFile(data)) begun.set(key(data), data);
  });
  stream.on('test:complete', (data) => begun.delete(key(data)));
  stream.on('test:pass', (data) => {
    if (data.details.type === 'suite') return;
    if (data.skip === undefined && data.todo === undefined) seen({ kind: 'passed', text: '' });
    else seen({ kind: 'skipped', text: skipped(root, data) });
  });
  stream.on('test:fail', (data) => {
    // A suite or a parent fails because a test in it did: that one has been shown.
    if (data.details.type === 'suite' || data.details.error?.failureType === 'subtestsFailed')
      return;
    let text = failed(root, data);
    if (isFile(data)) text += unended(root, data.file, [...begun.values()]);
    const said = output.get(data.file);
    if (said && !shown.has(data.file)) text += `  -- output of that file --\n${indent(said)}\n`;
    shown.add(data.file);
    seen({ kind: 'failed', text });
  });
  return new Promise((done, fail) => {
    stream.on('end', done);
    stream.on('error', fail);
    stream.resume();
  });
}

/** The entry that stands for a whole file bears its path as its name. */
function isFile(data) {
  return data.name === data.file;
}

function key(data) {
  return `${data.file}:${data.line}:${data.column}:${data.name}`;
}

function unended(root, file, begun) {
  return begun
    .filter((data) => data.file === file)
    .map((data) => `  had not ended: ${place(root, data)} "${data.name}"\n`)
    .join('');
}

function skipped(root, data) {
  const why = typeof data.skip === 'string' && data.skip !== '' ? `: ${data.skip}` : '';
  return `  skipped ${place(root, data)} "${data.name}"${why}\n`;
}

function failed(root, data) {
  const cause = data.details.error?.cause ?? data.details.error;
  return `\nFAILED ${place(root, data)} "${data.name}"\n${indent(describe(cause))}\n`;
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
