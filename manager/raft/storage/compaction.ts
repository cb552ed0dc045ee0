import { LIMITS } from '../../../shared/limits.ts';

export interface CompactionInput {
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly bytes: number;
  /** Up to where rows are on disk: the log below can be done without. */
  readonly appliedOnDisk: number;
  /** Match indexes of the active peers; empty on a follower. */
  readonly peerMatches: readonly number[];
  /** Indexes of snapshots whose receivers do not replicate yet: they need the log above. */
  readonly snapshotIndexes: readonly number[];
}

/** Up to where the log is to be dropped now; undefined when nothing is to be done. */
export function compactionTarget(input: CompactionInput): number | undefined {
  const { firstIndex, lastIndex, bytes, appliedOnDisk } = input;
  const count = lastIndex - firstIndex + 1;
  const isLong = count >= LIMITS.raftCompactEveryEntries || bytes >= LIMITS.raftCompactEveryBytes;
  if (!isLong) return undefined;
  // Big entries: keep in proportion, so that a log over its bytes gets shorter as well.
  const share = Math.min(1, LIMITS.raftCompactEveryBytes / 2 / Math.max(1, bytes));
  const keep = Math.min(LIMITS.raftLogKeepEntries, Math.floor(count * share));
  const isTooLong = count > LIMITS.raftLogHardMaxEntries || bytes > LIMITS.raftLogHardMaxBytes;
  const needed = isTooLong ? [] : [...input.peerMatches, ...input.snapshotIndexes];
  const target = Math.min(appliedOnDisk - keep, ...needed);
  return target >= firstIndex ? target : undefined;
}
