import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { ROOT } from './swarm.ts';

const FOLDERS = ['proto', 'shared', 'manager', 'worker', 'daemon', 'cli', 'test'];
/** What the programs begin with, and what stands for generated code. */
const MAINS = [
  'daemon/swarmd.ts',
  'daemon/netd.ts',
  'worker/inside/main.ts',
  'cli/main.ts',
  'proto/index.ts',
  'proto/containerd.ts',
];

/** A TypeScript file of the project, as text: nothing of it is run. */
export interface Source {
  readonly path: string;
  readonly text: string;
  /** The text without comments. */
  readonly code: string;
  readonly lines: readonly string[];
  /** Imported files of this project, as paths from the root. */
  readonly imports: readonly string[];
}

export function readSources(): readonly Source[] {
  return FOLDERS.flatMap(readFolder);
}

function readFolder(folder: string): Source[] {
  const out: Source[] = [];
  for (const entry of readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith('.ts')) continue;
    const path = relative(ROOT, join(entry.parentPath ?? entry.path, entry.name));
    if (path.includes('generated/')) continue;
    const text = readFileSync(join(ROOT, path), 'utf8');
    const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
    const found = text.matchAll(/(?:from|import|import\()\s*'(\.[^']+)'/g);
    const imports = [...found].map((match) => join(dirname(path), match[1]!));
    out.push({ path, text, code, lines: text.split('\n'), imports });
  }
  return out;
}

/** What is written for people: the documents of the root and of docs/. */
export function readDocuments(): readonly Pick<Source, 'path' | 'text'>[] {
  const below = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' });
  const paths = [...readdirSync(ROOT), ...below.map((path) => join('docs', path))];
  return paths
    .filter((path) => path.endsWith('.md'))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
}

/**
 * TypeScript files in backquotes, by path or by the end of it; `{a,b}` stands for both, `x.` for any
 * name.
 */
export function namedFiles(text: string): string[] {
  const quoted = [...text.matchAll(/`([^`\s*]+\.ts)`/g)].map(([, name]) => name!);
  return quoted.flatMap((name) => {
    if (name.startsWith('x.')) return [];
    const [all, before, either, after] = /^(.*)\{(.+)\}(.*)$/.exec(name) ?? [];
    return all === undefined ? [name] : either!.split(',').map((one) => before + one + after);
  });
}

/** Tests and what only they need. */
export function isForTests(path: string): boolean {
  return (
    path.startsWith('test/') ||
    /\.(test|contract|fixture)\.ts$/.test(path) ||
    /\/(fake|testing)\//.test(path)
  );
}

/** Files that some program of the project comes to. */
export function reachedByMains(sources: readonly Source[]): ReadonlySet<string> {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const reached = new Set(MAINS);
  for (const path of reached) for (const next of byPath.get(path)?.imports ?? []) reached.add(next);
  return reached;
}

/**
 * The first circle of a graph, as the nodes on it; empty where there is none. `edges` are the nodes
 * that one leads to.
 */
export function findCircle(nodes: Iterable<string>, edges: (node: string) => Iterable<string>) {
  const done = new Set<string>();
  const visit = (node: string, trail: readonly string[]): readonly string[] => {
    if (trail.includes(node)) return [...trail.slice(trail.indexOf(node)), node];
    if (done.has(node)) return [];
    for (const next of edges(node)) {
      const circle = visit(next, [...trail, node]);
      if (circle.length > 0) return circle;
    }
    done.add(node);
    return [];
  };
  for (const node of nodes) {
    const circle = visit(node, []);
    if (circle.length > 0) return circle;
  }
  return [];
}

/** Functions, methods and accessors with more than `most` lines, as `path:line (length)`. */
export function longFunctions({ path, lines }: Source, most: number): string[] {
  const found: string[] = [];
  for (const [at, line] of lines.entries()) {
    const indent = HEAD.exec(line)?.[1];
    if (indent === undefined || NO_HEAD.test(line) || !opensBody(lines, at, indent)) continue;
    const length = lines.slice(at).findIndex((later) => later.startsWith(`${indent}}`)) + 1;
    if (length > most) found.push(`${path}:${at + 1} (${length})`);
  }
  return found;
}

/** A body ends at the indent of its head, as the formatter writes it. */
const HEAD = /^(\s*)(?:(?:export|private|static|get|set|async|function\*?) )*\*?#?\w+(?:<.*>)?\(/;
const NO_HEAD = /^\s*(?:if|for|while|switch|return|await|super|void|throw|new|else|catch)\b|=>/;

function opensBody(lines: readonly string[], at: number, indent: string): boolean {
  if (!lines[at]!.endsWith('(')) return lines[at]!.endsWith('{');
  const end = lines.slice(at).find((later) => later.startsWith(`${indent})`));
  return end?.endsWith('{') === true;
}
