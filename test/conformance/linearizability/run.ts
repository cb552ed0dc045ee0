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

/** Judges one recorded history: a log of Jepsen's register, or events of a key-value store. */
export function judge(text: string): boolean {
  const isKv = text.trimStart().startsWith('{');
  const verdict = isKv
    ? isLinearizable(keyValue, readKvHistory(text))
    : isLinearizable(register, readRegisterHistory(text));
  return verdict === true;
}

/** Every history that `verdicts.tsv` of the directory names: file, tab, true or false. */
export function judgeDirectory(directory: string): Verdict[] {
  const lines = readFileSync(join(directory, 'verdicts.tsv'), 'utf8').split('\n');
  return lines.filter((line) => line.trim() !== '').map((line) => judgeLine(directory, line));
}

function judgeLine(directory: string, line: string): Verdict {
  const [name = '', expected] = line.trim().split(/\s+/);
  if (expected !== 'true' && expected !== 'false') {
    const problem = `verdicts.tsv says neither true nor false: ${line.trim()}`;
    return { name, expected: false, found: undefined, problem };
  }
  try {
    const found = judge(readFileSync(join(directory, name), 'utf8'));
    return { name, expected: expected === 'true', found, problem: '' };
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { name, expected: expected === 'true', found: undefined, problem };
  }
}
