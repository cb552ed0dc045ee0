import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const PROGRAMS = {
  'npm run up': [join(ROOT, 'deploy', 'run.mjs'), 'up'],
  swarm: [join(ROOT, 'dist', 'bundle', 'swarm.mjs'), 'node', 'ls'],
  swarmd: [join(ROOT, 'dist', 'bundle', 'swarmd.mjs')],
};

/** Runs a program in a process that takes its machine for another one. */
function runAs(machine, args) {
  const assignments = Object.entries(machine).map(
    ([name, value]) =>
      `Object.defineProperty(process,${JSON.stringify(name)},{value:${JSON.stringify(value)}})`,
  );
  const imported = `--import=data:text/javascript,${encodeURIComponent(assignments.join(';'))}`;
  const done = spawnSync(process.execPath, [imported, ...args], { encoding: 'utf8' });
  return { code: done.status, stderr: done.stderr };
}

for (const [name, args] of Object.entries(PROGRAMS)) {
  const skip = !existsSync(args[0]) && 'the bundle is not built';
  test(`${name} says on macOS and Windows where it runs, and does nothing`, { skip }, () => {
    for (const [platform, advice] of [
      ['darwin', /Linux machine or virtual machine/],
      ['win32', /WSL2/],
    ]) {
      const { code, stderr } = runAs({ platform }, args);
      assert.notEqual(code, 0);
      assert.match(stderr, new RegExp(`^Error: swarm runs on Linux; this is ${platform}\\.\\n`));
      assert.match(stderr, advice);
      assert.doesNotMatch(stderr, /^ {4}at /m);
    }
  });
  test(`${name} says which Node.js it needs`, { skip }, () => {
    for (const node of ['18.20.0', '20.18.3']) {
      const { code, stderr } = runAs({ versions: { ...process.versions, node } }, args);
      assert.notEqual(code, 0);
      assert.match(
        stderr,
        new RegExp(`^Error: swarm needs Node\\.js 20\\.19 or newer, this is ${node}`),
      );
    }
  });
}

test('a processor that nothing was built for is named', () => {
  const { code, stderr } = runAs({ arch: 'riscv64' }, PROGRAMS['npm run up']);
  assert.equal(code, 1);
  assert.match(stderr, /^Error: swarm runs on x64 and arm64; this machine is riscv64\./);
});
