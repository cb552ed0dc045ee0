import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readKvHistory, readRegisterHistory } from './histories.ts';
import { keyValue, register } from './models.ts';
import { isLinearizable } from './wgl.ts';

export interface Verdict {
  readonly name: string;
  readonly expected: boolean;
  /** Undefined when it could not be judged. */
  readonly found: boolean | undefined;
  /** Why not; else empty. */
  readonly problem: string;
}

/** A search over more positions of one object fills the memory. */
const STEPS_MAX = 5_000_000;

/**
 * Judges one recorded history: a log of Jepsen's register, or events of a key-value store. Throws
 * where it has no form that is known, or takes too long to judge.
 */
export function judge(text: string, stepsMax = STEPS_MAX): boolean {
  const isKv = text.trimStart().startsWith('{');
  const verdict = isKv
    ? isLinearizable(keyValue, readKvHistory(text), stepsMax)
    : isLinearizable(register, readRegisterHistory(text), stepsMax);
  if (verdict === undefined) throw new Error(`given up after ${stepsMax} positions`);
  return verdict;
}

/** Every history that `verdicts.tsv` of the directory names: file, tab, true or false. */
export function judgeDirectory(directory: string): Verdict[] {
  const lines = readFileSync(join(directory, 'verdicts.tsv'), 'utf8').split('\n');
  return lines.filter((line) => line.trim() !== '').map((line) => judgeLine(directory, line));
}

function judgeLine(directory: string, line: string): Verdict {
  // A name may have blanks in it.
  const [, name = '', expected] = /^(.*\S)\s+(\S+)$/.exec(line.trim()) ?? [];
  if (expected !== 'true' && expected !== 'false') {
    const problem = `verdicts.tsv says neither true nor false: ${line.trim()}`;
    return { name: name || 'verdicts.tsv', expected: false, found: undefined, problem };
  }
  try {
    const found = judge(readFileSync(join(directory, name), 'utf8'));
    return { name, expected: expected === 'true', found, problem: '' };
  } catch (error) {
    const problem = (error as Error).message;
    return { name, expected: expected === 'true', found: undefined, problem };
  }
}
