import type { Process, Timestamp } from '../../../proto/containerd.ts';

/** What of a process says whether and how it ended, whoever told it. */
export type ProcessEnd = Pick<Process, 'status' | 'exitStatus' | 'exitedAt'>;

/** Wall milliseconds; 0: not said. */
export function timestampMs(time: Timestamp | null): number {
  return time === null ? 0 : time.seconds * 1_000 + Math.floor(time.nanos / 1e6);
}
