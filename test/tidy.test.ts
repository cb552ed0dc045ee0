import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import {
  findCircle,
  isForTests,
  longFunctions,
  namedFiles,
  reachedByMains,
  readDocuments,
  readSources,
  type Source,
} from './support/sources.ts';
import { ROOT } from './support/swarm.ts';

/** Rules that a compiler cannot express. Sources are read, nothing is run. */
const SOURCES = readSources();
const BY_PATH = new Map(SOURCES.map((source) => [source.path, source]));
const PRODUCTION = SOURCES.filter(({ path }) => !isForTests(path));

test('folders import one way: proto, shared, manager or worker or cli, daemon', () => {
  const below: { readonly [folder: string]: readonly string[] } = {
    proto: [],
    shared: ['proto'],
    manager: ['proto', 'shared'],
    worker: ['proto', 'shared'],
    cli: ['proto', 'shared'],
    daemon: ['proto', 'shared', 'manager', 'worker'],
  };
  const wrong = importsFrom(/^/, (to, from) => {
    const [mine, theirs] = [topOf(from), topOf(to)];
    return mine !== theirs && !below[mine]!.includes(theirs);
  });
  assert.deepEqual(wrong, []);
});

test('folders side by side never import each other in a circle', () => {
  const edges = new Map<string, Set<string>>();
  for (const { path, imports } of PRODUCTION) {
    for (const imported of imports) {
      const [from, to] = whereTheyPart(path, imported);
      if (from !== undefined && to !== undefined) {
        edges.set(from, (edges.get(from) ?? new Set()).add(to));
      }
    }
  }
  assert.deepEqual(
    findCircle(edges.keys(), (folder) => edges.get(folder) ?? []),
    [],
  );
});

test('no file imports itself by way of others, not even for its types', () => {
  const paths = PRODUCTION.map(({ path }) => path);
  assert.deepEqual(
    findCircle(paths, (path) => BY_PATH.get(path)?.imports ?? []),
    [],
  );
});

test('what no program comes to is for tests, and says so in its name', () => {
  const reached = reachedByMains(PRODUCTION);
  const dead = PRODUCTION.filter(({ path }) => !reached.has(path));
  assert.deepEqual(
    dead.map(({ path }) => path),
    [],
  );
  const wrong = importsFrom(/^/, (to) => isForTests(to));
  assert.deepEqual(wrong, []);
});

test('what is exported is imported somewhere', () => {
  const importers = new Map<string, Source[]>();
  for (const source of SOURCES)
    for (const to of source.imports) importers.set(to, [...(importers.get(to) ?? []), source]);
  const declared = /^export (?:async )?(?:class|function\*?|const) (\w+)/gm;
  const wrong = PRODUCTION.flatMap(({ path, code }) =>
    [...code.matchAll(declared)]
      .map(([, name]) => name!)
      .filter((name) => {
        const word = new RegExp(`\\b${name}\\b`);
        return !(importers.get(path) ?? []).some((importer) => word.test(importer.code));
      })
      .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual(wrong, []);
});

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

test('no line is over 120 columns, no file over 580 lines, no function over 70', () => {
  const long = SOURCES.flatMap((s) =>
    s.lines.flatMap((line, at) => (line.length > 120 ? [`${s.path}:${at + 1}`] : [])),
  );
  const large = SOURCES.filter((s) => s.lines.length > 580).map((s) => s.path);
  const tall = PRODUCTION.flatMap((source) => longFunctions(source, 70));
  assert.deepEqual([...long, ...large, ...tall], []);
});

test('files that documents name are there', () => {
  const named = readDocuments().flatMap(({ path, text }) =>
    namedFiles(text).map((name) => ({ path, name })),
  );
  const wrong = named.filter(
    ({ name }) => !SOURCES.some(({ path }) => path === name || path.endsWith(`/${name}`)),
  );
  assert.ok(named.length > 100, 'documents name files');
  assert.deepEqual(wrong, []);
});

test('nothing is left for later in the code', () => {
  const marker = new RegExp(['TO', 'DO|FIX', 'ME|XX', 'X'].join(''));
  const wrong = SOURCES.filter((s) => marker.test(s.text) && !s.path.endsWith('tidy.test.ts'));
  assert.deepEqual(
    wrong.map((s) => s.path),
    [],
  );
});

function importsFrom(from: RegExp, isWrong: (to: string, from: string) => boolean): string[] {
  return PRODUCTION.filter((s) => from.test(s.path)).flatMap((s) =>
    s.imports.filter((to) => isWrong(to, s.path)).map((to) => `${s.path} -> ${to}`),
  );
}

function topOf(path: string): string {
  return dirname(path).split('/')[0]!;
}

/** The folders, side by side, that two files are in; undefined for a file that is in none of them. */
function whereTheyPart(path: string, other: string): (string | undefined)[] {
  const both = [path, other].map((each) => dirname(each).split('/'));
  const at = both[0]!.findIndex((folder, depth) => folder !== both[1]![depth]);
  const [mine, theirs] = both.map((folders) =>
    at >= 0 && at < folders.length ? folders.slice(0, at + 1).join('/') : undefined,
  );
  return [mine, theirs];
}
