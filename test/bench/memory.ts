import { readdirSync, readFileSync } from 'node:fs';

/** Resident memory in MB of all processes whose command line holds one of the words. */
export function memoryOf(words: readonly string[]): number {
  let kilobytes = 0;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      if (words.some((word) => command.includes(word))) kilobytes += rss(pid);
    } catch {
      // It ended meanwhile.
    }
  }
  return kilobytes / 1_024;
}

export function memoryOfPid(pid: number): number {
  return rss(String(pid)) / 1_024;
}

function rss(pid: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
}
