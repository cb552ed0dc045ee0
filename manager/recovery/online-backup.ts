import { Freshness } from '../../proto/index.ts';
import { type Clock, delay } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Consistency } from '../../shared/rpc/rpc.ts';
import type { Database, DbSnapshot } from '../database/index.ts';
import { rowKey } from '../raft/storage/keys.ts';
import { rowOf } from '../raft/storage/row-record.ts';
import { CLOCK_ROW, storedMoment } from '../store/apply.ts';
import { positionOf } from './backup.ts';

export interface OnlineSource {
  readonly database: Database;
  readonly clock: Clock;
  /** See `RaftDriver.readIndex`. */
  readonly readIndex: () => Promise<number>;
}

/** Rows go to disk with the next write of the log, or with the next tick. */
const LOOK_AGAIN_MS = 10;
const ON_DISK_MS = 10_000;

/**
 * The rows on disk, with everything in them that was acknowledged before the call; without a quorum
 * (or where stale ones will do) those that this manager has, and said so. To be closed by the caller.
 */
export async function onlineSnapshot(
  source: OnlineSource,
  consistency: Consistency,
): Promise<{ readonly snapshot: DbSnapshot; readonly freshness: Freshness }> {
  const { clock, database } = source;
  const asOfWallMs = clock.wallMs();
  if (consistency === 'stale') return stale(database, 'asked for');
  let index: number;
  try {
    index = await source.readIndex();
  } catch (error) {
    return stale(database, messageOf(error));
  }
  const endMs = clock.monotonicMs() + ON_DISK_MS;
  for (;;) {
    const snapshot = database.snapshot();
    if (positionOf(snapshot).index >= index) {
      return { snapshot, freshness: Freshness.create({ asOfWallMs }) };
    }
    await snapshot.close();
    if (clock.monotonicMs() > endMs) {
      throw new SwarmError('DEADLINE', 'The rows of this manager did not reach its disk in time.');
    }
    await delay(clock, LOOK_AGAIN_MS);
  }
}

/** As of the newest entry among the rows; 0 where none has said its time. */
function stale(database: Database, reason: string) {
  const snapshot = database.snapshot();
  const key = rowKey(positionOf(snapshot).generation, CLOCK_ROW.table, CLOCK_ROW.id);
  const value = snapshot.getSync(key);
  const moment = value && storedMoment(rowOf({ key, value, secret: false }));
  const asOfWallMs = moment?.wallMs ?? 0;
  return { snapshot, freshness: Freshness.create({ stale: true, asOfWallMs, reason }) };
}
