import { dirname, join } from 'node:path';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Disk } from './disk.ts';

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
  /** How many openings in a row were begun before and did not pass. Rejects with STATE_DIR. */
  async raise(): Promise<number> {
    const found = await this.#disk.readFile(this.#path);
    const before = found === undefined ? 0 : found[0]! || 1;
    const count = Uint8Array.of(Math.min(255, before + 1));
    await this.#disk.overwrite(this.#path, count).catch((cause: unknown) => {
      const text = `the state directory cannot be written: ${messageOf(cause)}`;
      throw new SwarmError('STATE_DIR', text, { cause });
    });
    // Its name has to be durable before LevelDB takes the log away in which it may have said more.
    if (found === undefined) await this.#disk.syncDirectory(dirname(this.#path));
    return before;
  }
  async clear(): Promise<void> {
    await this.#disk.remove(this.#path);
  }
}
