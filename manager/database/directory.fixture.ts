import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManualClock } from '../../shared/clock.ts';
import type { SwarmError } from '../../shared/errors.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import { createDataKeys } from './data-key.ts';
import { DATABASE_FILES, Database, type DatabaseDeps } from './database.ts';
import { systemDisk } from './disk.ts';
import { openLevel } from './level/open-level.ts';

/** For tests: a temporary folder with a data key, and what opening a database in it needs. */
export class TestDirectory {
  path = '';
  readonly clock = new ManualClock();
  readonly poison: SwarmError[] = [];

  async make(): Promise<void> {
    this.path = await mkdtemp(join(tmpdir(), 'swarm-db-'));
    const random = new SeededRandom(1);
    await createDataKeys(join(this.path, DATABASE_FILES.dataKey), systemDisk, random);
  }
  deps(changes: Partial<DatabaseDeps> = {}): DatabaseDeps {
    return {
      clock: this.clock,
      disk: systemDisk,
      random: new SeededRandom(2),
      log: silentLog,
      openEngine: openLevel,
      onPoison: (error) => this.poison.push(error),
      ...changes,
    };
  }
  open(changes: Partial<DatabaseDeps> = {}): Promise<Database> {
    return Database.open(this.path, this.deps(changes));
  }
  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
