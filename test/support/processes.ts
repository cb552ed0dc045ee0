import { readdirSync, readFileSync } from 'node:fs';

/** True while the process runs; one that only waits for its parent does not. */
export function isRunning(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) !== 'Z';
  } catch {
    return false;
  }
}

export interface ProcessWords {
  readonly pid: number;
  readonly words: readonly string[];
}

/** The command line of every process that may be seen and is not of the kernel. */
export function commandLines(): ProcessWords[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const text = readFileSync(`/proc/${name}/cmdline`, 'utf8');
        return text === '' ? [] : [{ pid: Number(name), words: text.split('\0') }];
      } catch {
        return [];
      }
    });
}

/** The environment of a process as one text; empty where it has ended or may not be seen. */
export function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1');
  } catch {
    return '';
  }
}
