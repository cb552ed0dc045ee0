import { readFileSync } from 'node:fs';

/** Start time of a process in kernel ticks since boot; undefined when there is no such process. */
export function processStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** True while the very process that was recorded runs: not another one that got its number. */
export function isSameProcess(pid: number, startTime: string): boolean {
  return pid > 1 && startTime !== '' && processStartTime(pid) === startTime;
}
