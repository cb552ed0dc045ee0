import { join } from 'node:path';
import { SwarmError } from '../../shared/errors.ts';
import type { Disk } from './disk.ts';
import { hidesRecords } from './wal-check.ts';

/**
 * LevelDB opens a damaged log without an error: what it cannot read it skips, and says so only in
 * its own text log. A torn tail, the normal trace of a crash, leaves no such line.
 */
const DROPPED = /dropping \d+ bytes/;

/** Rejects with DAMAGED when LevelDB has ever said that it dropped something. */
export async function refuseDroppedBytes(databaseDirectory: string, disk: Disk): Promise<void> {
  for (const name of ['LOG.old', 'LOG']) {
    const bytes = await disk.readFile(join(databaseDirectory, name));
    if (bytes === undefined) continue;
    const line = DROPPED.exec(Buffer.from(bytes).toString('latin1'));
    if (line === null) continue;
    throw new SwarmError('DAMAGED', `the state database lost data: LevelDB was ${line[0]}`);
  }
}

/** Rejects with DAMAGED when one of LevelDB's logs ends as no crash can have left it. */
export async function refuseHiddenRecords(databaseDirectory: string, disk: Disk): Promise<void> {
  for (const name of await disk.list(databaseDirectory)) {
    if (!/^\d+\.log$|^MANIFEST-/.test(name)) continue;
    const bytes = await disk.readFile(join(databaseDirectory, name));
    if (bytes === undefined || !hidesRecords(Buffer.from(bytes))) continue;
    throw new SwarmError('DAMAGED', `the state database lost data: ${name} hides written records`);
  }
}

/**
 * Stands from before LevelDB is opened until all checks have passed. LevelDB keeps only one older
 * text log: whoever finds the marker must not trust a database because its newest log is clean.
 */
export class OpenMarker {
  readonly #path: string;
  readonly #disk: Disk;

  constructor(path: string, disk: Disk) {
    this.#path = path;
    this.#disk = disk;
  }
  /** How many openings in a row were begun before and did not pass. */
  async raise(): Promise<number> {
    const found = await this.#disk.readFile(this.#path);
    const before = found === undefined ? 0 : found[0]! || 1;
    await this.#disk.overwrite(this.#path, Uint8Array.of(Math.min(255, before + 1)));
    return before;
  }
  async clear(): Promise<void> {
    await this.#disk.remove(this.#path);
  }
}
