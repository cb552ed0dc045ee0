import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readKvHistory, readRegisterHistory } from './histories.ts';
import { keyValue, register } from './models.ts';
import { isLinearizable } from './wgl.ts';

export interface Verdict {
  readonly name: string;
  readonly expected: boolean;
  readonly found: boolean;
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
  const verdicts: Verdict[] = [];
  for (const line of lines) {
    const [name, expected] = line.trim().split('\t');
    if (name === undefined || name === '') continue;
    if (expected !== 'true' && expected !== 'false')
      throw new Error(`verdicts.tsv: neither true nor false: ${line}`);
    const found = judge(readFileSync(join(directory, name), 'utf8'));
    verdicts.push({ name, expected: expected === 'true', found });
  }
  return verdicts;
}
