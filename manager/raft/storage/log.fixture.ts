import { ManualClock } from '../../../shared/clock.ts';
import { silentLog } from '../../../shared/log.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { Database, openLevel, systemDisk } from '../../database/index.ts';
import { openLog } from './open-log.ts';
import { rowSlices } from './row-record.ts';

/** For tests: what a member says that it has, everything a fault could change without a word. */
export interface Content {
  readonly last: number;
  readonly term: number;
  readonly vote: number;
  readonly applied: number;
  readonly rows: string;
}

/** Opens the database of a member's folder, without its driver. */
export function open(path: string): Promise<Database> {
  return Database.open(path, {
    clock: new ManualClock(),
    disk: systemDisk,
    random: new SeededRandom(3),
    log: silentLog,
    openEngine: openLevel,
    onPoison: () => undefined,
  });
}

/** Opens, checks and reads everything. Rejects as `openRaft` would. */
export async function inspect(path: string): Promise<Content> {
  const db = await open(path);
  try {
    const opened = await openLog(path, db, systemDisk);
    const rows: string[] = [];
    for await (const slice of rowSlices(db, opened.applied.generation)) {
      for (const { table, id, version, bytes } of slice) {
        rows.push(`${table}/${id}@${version}=${Buffer.from(bytes!)}`);
      }
    }
    return {
      last: opened.boundary.index + opened.entries.length,
      term: opened.hardState.term,
      vote: opened.hardState.vote,
      applied: opened.applied.index,
      rows: rows.join('\n'),
    };
  } finally {
    await db.close();
  }
}
