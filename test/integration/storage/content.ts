import { createHash } from 'node:crypto';
import { Database, openLevel, systemDisk } from '../../../manager/database/index.ts';
import { clearLeftovers, openLog } from '../../../manager/raft/storage/open-log.ts';
import { rowSlices } from '../../../manager/raft/storage/row-record.ts';
import { ManualClock } from '../../../shared/clock.ts';
import { silentLog } from '../../../shared/log.ts';
import { SeededRandom } from '../../../shared/random.ts';

/** What a member's directory says. Two with the same digest say the same, to the last byte. */
export interface Content {
  readonly first: number;
  readonly last: number;
  readonly term: number;
  readonly vote: number;
  readonly applied: number;
  readonly rows: number;
  readonly digest: string;
}

/** Opens, checks and reads all of it, as a manager does at its start. Rejects as that would. */
export async function readContent(directory: string): Promise<Content> {
  const db = await Database.open(directory, {
    clock: new ManualClock(),
    disk: systemDisk,
    random: new SeededRandom(1),
    log: silentLog,
    openEngine: openLevel,
    onPoison: () => undefined,
  });
  try {
    const opened = await openLog(directory, db, systemDisk);
    await clearLeftovers(db, opened);
    const { identity, boundary, applied, entries, hardState, peers, markers } = opened;
    const hash = createHash('sha256');
    hash.update(JSON.stringify({ identity, boundary, applied, hardState, peers, markers }));
    for (const { index, term, type, data } of entries) {
      hash.update(`${index} ${term} ${type} ${data.length};`).update(data);
    }
    let rows = 0;
    for await (const slice of rowSlices(db, applied.generation)) {
      for (const { table, id, version, secret, bytes } of slice) {
        hash.update(`${table}/${id} ${version} ${secret} ${bytes?.length};`).update(bytes!);
      }
      rows += slice.length;
    }
    await db.passed();
    return {
      first: boundary.index + 1,
      last: boundary.index + entries.length,
      term: hardState.term,
      vote: hardState.vote,
      applied: applied.index,
      rows,
      digest: hash.digest('hex'),
    };
  } finally {
    await db.close();
  }
}
