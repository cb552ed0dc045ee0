import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const RUNNER = fileURLToPath(new URL('./test-run.mjs', import.meta.url));
const FILE = `import { suite, test } from 'node:test';
suite('a suite', () => {
  test('ends', () => {});
  test('is where the file is killed', () => new Promise(() => {
    // Turns of the event loop in which the process tells what it has begun.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), 100);
  }));
});
`;

test('a file that is ended names the tests that it was in, and no other', () => {
  const dir = mkdtempSync(join(tmpdir(), 'swarm-test-run-'));
  try {
    const file = join(dir, 'killed.test.mjs');
    writeFileSync(file, FILE);
    const program = `import { runFiles } from ${JSON.stringify(RUNNER)};
      await runFiles('/', [${JSON.stringify(file)}], { concurrency: 1 }, ({ kind, text }) => {
        if (kind === 'failed') process.stdout.write(text);
      });`;
    // Within a test file the runner of node:test refuses to run others.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const main = join(dir, 'main.mjs');
    writeFileSync(main, program);
    const { stdout } = spawnSync(process.execPath, [main], { encoding: 'utf8', env });
    assert.match(
      stdout,
      /had not ended: .*"a suite"\n.*had not ended: .*"is where the file is killed"/,
    );
    assert.doesNotMatch(stdout, /had not ended: .*"ends"/);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
