import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeRegisterHistory } from '../../conformance/linearizability/histories.ts';
import { registers } from '../../conformance/linearizability/models.ts';
import { isLinearizable } from '../../conformance/linearizability/wgl.ts';
import type { Recorded } from './load.ts';

/** Positions searched of one register before the search is given up. */
const STEPS_MAX = 5_000_000;
const SHOWN = 12;

/**
 * Empty when the history is linearizable. Else which register is not, up to which operation, and
 * where its whole history was written, in the form that `npm run linearizability` reads.
 */
export function whyNotLinearizable(history: readonly Recorded[]): string {
  for (const [key, operations] of byKey(history)) {
    const verdict = isLinearizable(registers, operations, STEPS_MAX);
    if (verdict === true) continue;
    const directory = keep(new Map([[key, operations]]));
    if (verdict === undefined) return `${key}: the search was given up; history in ${directory}`;
    const shown = shortestBad(operations)
      .sort((a, b) => a.call - b.call)
      .slice(-SHOWN)
      .map(text);
    return `${key} is not linearizable (history in ${directory}); it breaks with the last of\n${shown.join('\n')}`;
  }
  return '';
}

/** Writes each register's history and the verdict that is hoped for. Returns the directory. */
function keep(histories: ReadonlyMap<string, readonly Recorded[]>, into?: string): string {
  const directory = into ?? mkdtempSync(join(tmpdir(), 'swarm-history-'));
  const verdicts: string[] = [];
  for (const [key, operations] of histories) {
    writeFileSync(join(directory, `${key}.log`), writeRegisterHistory(operations));
    verdicts.push(`${key}.log\ttrue\n`);
  }
  writeFileSync(join(directory, 'verdicts.tsv'), verdicts.join(''));
  return directory;
}

function byKey(history: readonly Recorded[]): Map<string, Recorded[]> {
  const keys = new Map<string, Recorded[]>();
  for (const operation of history) {
    const known = keys.get(operation.input.key);
    if (known === undefined) keys.set(operation.input.key, [operation]);
    else known.push(operation);
  }
  return keys;
}

/** What was known at the first moment at which no order explains it any more. */
function shortestBad(operations: readonly Recorded[]): Recorded[] {
  const moments = operations.map((o) => o.end).filter(Number.isFinite);
  moments.sort((a, b) => a - b);
  let [good, bad] = [-1, moments.length - 1];
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1;
    const verdict = isLinearizable(registers, knownAt(operations, moments[middle]!), STEPS_MAX);
    if (verdict === false) bad = middle;
    else good = middle;
  }
  return knownAt(operations, moments[bad]!);
}

function knownAt(operations: readonly Recorded[], moment: number): Recorded[] {
  return operations
    .filter((o) => o.call < moment && (o.end <= moment || o.input.kind !== 'read'))
    .map((o) => (o.end <= moment ? o : { ...o, end: Number.POSITIVE_INFINITY, output: undefined }));
}

function text({ call, end, input, output }: Recorded): string {
  const { key: _, ...what } = input;
  const answer = output === undefined ? 'no answer' : JSON.stringify(output);
  return `  ${call}–${end}: ${JSON.stringify(what)} -> ${answer}`;
}
