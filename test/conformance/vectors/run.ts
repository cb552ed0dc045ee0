/** Runs script files and compares, byte for byte but for the lines named in `normalise.ts`. */
import { readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { confChangeRunner } from './confchange.ts';
import type { Directive } from './datadriven.ts';
import { parseScript } from './datadriven.ts';
import { interactionRunner } from './interaction.ts';
import { normalise } from './normalise.ts';
import { quorumRunner } from './quorum.ts';

export interface ScriptResult {
  readonly name: string;
  /** '' if the script holds; else the first difference, for a human. */
  readonly difference: string;
}

/** All `.txt` files below a directory, sorted by path; or the one file that is named. */
export function findScripts(directory: string, above: readonly string[] = []): string[] {
  if (!isDirectory(directory)) return [directory];
  const here = realpathSync(directory);
  // A link to where it lies itself.
  if (above.includes(here)) return [];
  const found: string[] = [];
  for (const name of readdirSync(directory).sort()) {
    const path = join(directory, name);
    if (isDirectory(path)) found.push(...findScripts(path, [...above, here]));
    else if (name.endsWith('.txt')) found.push(path);
  }
  return found;
}

/** What cannot be looked at is none: reading it says why. */
function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

export function runScripts(directory: string): ScriptResult[] {
  return findScripts(directory).map((path) => ({
    name: relative(directory, path) || basename(path),
    difference: runScript(path),
  }));
}

export function runScript(path: string): string {
  let directives: Directive[];
  try {
    directives = parseScript(readFileSync(path, 'utf8'));
  } catch (e) {
    return (e as Error).message;
  }
  if (directives.length === 0) return 'no command is in it';
  const handle = runnerFor(path, directives);
  for (const d of directives) {
    let actual: string;
    try {
      actual = handle(d);
    } catch (e) {
      actual = (e as Error).message;
    }
    if (actual !== '' && !actual.endsWith('\n')) actual += '\n';
    const difference = compare(d, actual);
    if (difference !== '') return difference;
  }
  return '';
}

/** By folder where that says it, else by the commands in the script. */
function runnerFor(path: string, directives: readonly Directive[]): (d: Directive) => string {
  const folder = basename(dirname(path));
  const commands = new Set(directives.map((d) => d.command));
  if (folder === 'quorum' || commands.has('vote') || commands.has('committed')) {
    return quorumRunner();
  }
  if (folder === 'confchange' || commands.has('simple') || commands.has('enter-joint')) {
    return confChangeRunner();
  }
  return interactionRunner();
}

function compare(d: Directive, actual: string): string {
  const want = normalise(d.expected).split('\n');
  const have = normalise(actual).split('\n');
  const length = Math.max(want.length, have.length);
  for (let i = 0; i < length; i++) {
    if (want[i] === have[i]) continue;
    const show = (line: string | undefined) => (line === undefined ? '(no line)' : line);
    return [
      `line ${d.line}: ${d.command}, output line ${i + 1}`,
      `    expected: ${show(want[i])}`,
      `    actual:   ${show(have[i])}`,
    ].join('\n');
  }
  return '';
}
