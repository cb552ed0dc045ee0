import type { Clock } from '../../shared/clock.ts';
import type { Io } from '../io.ts';

const BLOCK_BYTES = 4096;
/** Less than this is not worth a process. */
const TRIM_BYTES_MIN = 1 << 20;
const IDLE_MS = 2_000;

/** How read output is taken off the disk while the task goes on writing at the end. */
export type Trimming = 'punch' | 'truncate';

/**
 * Gives the blocks of read output back. A hole leaves sizes and offsets as they are, so the task,
 * which appends, notices nothing and no byte can be lost between a look and an act.
 */
export async function punch(io: Io, path: string, from: number, to: number): Promise<number> {
  const begin = Math.floor(from / BLOCK_BYTES) * BLOCK_BYTES;
  const length = Math.floor(to / BLOCK_BYTES) * BLOCK_BYTES - begin;
  if (length < TRIM_BYTES_MIN) return from;
  const result = await io.run({
    command: 'fallocate',
    args: ['--punch-hole', '--offset', String(begin), '--length', String(length), path],
    timeoutMs: 10_000,
    outputBytesMax: 1_000,
  });
  return result.code === 0 ? begin + length : -1;
}

/**
 * Without holes: a file may be emptied only when all of it is read and nothing is written. The
 * instant between look and act stays; that is why it is only done to a file that was idle.
 */
export function mayTruncate(io: Io, clock: Clock, path: string, offset: number): boolean {
  const stat = io.stat(path);
  if (!stat || stat.size !== offset || stat.size < TRIM_BYTES_MIN) return false;
  return clock.wallMs() - stat.mtimeMs > IDLE_MS;
}
