import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Rules that a compiler cannot express. Sources are read, nothing is run. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', ...(isCompiled() ? ['..'] : []));
const FOLDERS = ['proto', 'shared', 'manager', 'worker', 'daemon', 'cli', 'test'];

interface Source {
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
  /** Imported files of this project, as paths from the root. */
  readonly imports: readonly string[];
}

const SOURCES = FOLDERS.flatMap(readSources);
const PRODUCTION = SOURCES.filter(
  (s) => !s.path.startsWith('test/') && !/\.(test|contract)\.ts$/.test(s.path),
);

test('raft/core imports nothing but assertions', () => {
  const wrong = importsFrom(
    /^manager\/raft\/core\//,
    (to) => !to.startsWith('manager/raft/core/') && to !== 'shared/assert.ts',
  );
  assert.deepEqual(wrong, []);
});

test('the release stands in one source file, and package.json names the same one', () => {
  const versionOf = (file: string): string =>
    (JSON.parse(readFileSync(join(ROOT, file), 'utf8')) as { version: string }).version;
  const release = versionOf('package.json');
  assert.equal(versionOf('package-lock.json'), release);
  const named = PRODUCTION.filter(({ text }) => text.includes(`'${release}'`));
  assert.deepEqual(
    named.map(({ path }) => path),
    ['shared/version.ts'],
  );
});

test('stages of the loop never import each other', () => {
  const stage = /^manager\/loop\/(orchestrator|allocator|scheduler|reaper|nodes)\//;
  const wrong = importsFrom(stage, (to, from) => {
    const [mine, theirs] = [stage.exec(from)?.[1], stage.exec(to)?.[1]];
    return theirs !== undefined && theirs !== mine;
  });
  assert.deepEqual(wrong, []);
});

test('the store does not know raft, nor raft the store', () => {
  const up = importsFrom(/^manager\/store\//, (to) => to.startsWith('manager/raft/'));
  const down = importsFrom(/^manager\/raft\//, (to) => to.startsWith('manager/store/'));
  assert.deepEqual([...up, ...down], []);
});

test('control has no trace of gRPC', () => {
  const wrong = PRODUCTION.filter(
    (s) => s.path.startsWith('manager/control/') && /grpc-js/.test(s.text),
  );
  assert.deepEqual(
    wrong.map((s) => s.path),
    [],
  );
});

test('the agent knows the interfaces of runtime and network, not their implementations', () => {
  const wrong = importsFrom(
    /^worker\/agent\//,
    (to) => /^worker\/(runtime|network)\/.+\//.test(to) || to === 'worker/network/proxy-network.ts',
  );
  assert.deepEqual(wrong, []);
});

test('only manager/database knows LevelDB', () => {
  const wrong = PRODUCTION.filter(
    (s) => !s.path.startsWith('manager/database/') && /from '(level|classic-level)'/.test(s.text),
  );
  assert.deepEqual(
    wrong.map((s) => s.path),
    [],
  );
});

test('time and randomness come in through constructors', () => {
  const seams = /^(daemon|cli|proto)\/|^shared\/(clock|random|ids)\.ts$/;
  const banned =
    /\b(Date\.now|new Date\(\)|Math\.random|performance\.now|setTimeout|setInterval)\(/;
  const wrong = PRODUCTION.filter((s) => !seams.test(s.path)).flatMap((s) =>
    s.lines.flatMap((line, at) => (banned.test(line) ? [`${s.path}:${at + 1}`] : [])),
  );
  assert.deepEqual(wrong, []);
});

test('no line is over 120 columns and no file over 600 lines', () => {
  const long = SOURCES.flatMap((s) =>
    s.lines.flatMap((line, at) => (line.length > 120 ? [`${s.path}:${at + 1}`] : [])),
  );
  const large = SOURCES.filter((s) => s.lines.length > 600).map((s) => s.path);
  assert.deepEqual([...long, ...large], []);
});

test('nothing is left for later in the code', () => {
  const marker = new RegExp(['TO', 'DO|FIX', 'ME|XX', 'X'].join(''));
  const wrong = SOURCES.filter((s) => marker.test(s.text) && !s.path.endsWith('tidy.test.ts'));
  assert.deepEqual(
    wrong.map((s) => s.path),
    [],
  );
});

test('no file is imported in a circle', () => {
  assert.deepEqual(findCycle(), []);
});

function importsFrom(from: RegExp, isWrong: (to: string, from: string) => boolean): string[] {
  return PRODUCTION.filter((s) => from.test(s.path)).flatMap((s) =>
    s.imports.filter((to) => isWrong(to, s.path)).map((to) => `${s.path} -> ${to}`),
  );
}

function findCycle(): string[] {
  const byPath = new Map(PRODUCTION.map((s) => [s.path, s]));
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return [];
    for (const next of valueImports(byPath.get(path))) {
      const cycle = visit(next, [...trail, path]);
      if (cycle.length > 0) return cycle;
    }
    done.add(path);
    return [];
  };
  for (const path of byPath.keys()) {
    const cycle = visit(path, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}

/** Type-only imports vanish in the build: they make no circle at run time. */
function valueImports(source: Source | undefined): string[] {
  if (source === undefined) return [];
  const typeOnly = source.text.replace(/^(import|export) type [^;]+;/gm, '');
  return resolveImports(source.path, typeOnly);
}

function readSources(folder: string): Source[] {
  const out: Source[] = [];
  for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const path = relative(ROOT, join(entry.parentPath ?? entry.path, entry.name));
    if (path.includes('generated/')) continue;
    const text = readFileSync(join(ROOT, path), 'utf8');
    out.push({ path, text, lines: text.split('\n'), imports: resolveImports(path, text) });
  }
  return out;
}

function resolveImports(path: string, text: string): string[] {
  const found = text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g);
  return [...found].map((match) => join(dirname(path), match[1]!));
}

function isCompiled(): boolean {
  return fileURLToPath(import.meta.url).endsWith('.js');
}
