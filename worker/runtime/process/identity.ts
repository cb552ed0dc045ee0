import type { Io } from '../../io.ts';

/** A pid alone is used again by the kernel; with its start time and the boot it names one process. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot: field 22 of /proc/PID/stat. */
  readonly start: string;
}

export function bootId(io: Pick<Io, 'read'>): string {
  return io.read('/proc/sys/kernel/random/boot_id')?.toString('utf8').trim() ?? '';
}

/** Undefined when there is no such process. A zombie counts as none: it runs nothing. */
function startTimeOf(io: Pick<Io, 'read'>, pid: number): string | undefined {
  const stat = io.read(`/proc/${pid}/stat`)?.toString('utf8');
  return stat === undefined ? undefined : startTimeIn(stat);
}

/** The name in brackets may hold spaces and brackets: fields are counted after the last one. */
export function startTimeIn(stat: string): string | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** Of /proc/PID/stat. */
export function isKernelThread(stat: string): boolean {
  const flags = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[6]);
  return (flags & PF_KTHREAD) !== 0;
}

/** The kernel's include/linux/sched.h. */
const PF_KTHREAD = 0x0020_0000;

export function isSame(io: Pick<Io, 'read'>, identity: ProcessIdentity): boolean {
  return identity.pid > 0 && startTimeOf(io, identity.pid) === identity.start;
}
