import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BUGS_OF_RAFT } from './bugs-of-raft.ts';
import { MUTANTS } from './mutants.ts';

/** Where the compiled modules are, whether this file is compiled or not. */
const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, '..', '..', '..');
const IS_SOURCE = import.meta.url.endsWith('.ts');
const COMPILED = IS_SOURCE ? join(ROOT, 'dist') : ROOT;
const SOURCES = IS_SOURCE ? ROOT : join(ROOT, '..');

test('each of the twenty known bugs can be planted', () => {
  const numbers = new Set(BUGS_OF_RAFT.map(({ number }) => number));
  assert.deepEqual(
    [...numbers].sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, at) => at + 1),
  );
});

test('what a bug changes is a module of today, not one that an older build left behind', () => {
  const modules = MUTANTS.flatMap(({ patches, aids }) => [...patches, ...aids]);
  const gone = modules.filter(({ module }) => !existsSync(join(SOURCES, `${module}.ts`)));
  assert.deepEqual(
    gone.map(({ module }) => module),
    [],
  );
});

test('what a bug changes is there exactly once', () => {
  const missing = MUTANTS.flatMap(({ name, patches, aids }) =>
    [...patches, ...aids].flatMap(({ module, find }) => {
      const times = readFileSync(join(COMPILED, `${module}.js`), 'utf8').split(find).length - 1;
      return times === 1 ? [] : [`${name}: ${module} has ${times} times ${find}`];
    }),
  );
  assert.deepEqual(missing, []);
});
