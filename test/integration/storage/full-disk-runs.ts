import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Disk, type Engine, openLevel, systemDisk } from '../../../manager/database/index.ts';
import { messageOf, SwarmError } from '../../../shared/errors.ts';
import { LoneManager, type LoneManagerDeps } from './lone-manager.ts';
import type { SmallDisk } from './small-disk.ts';

/** Sizes of the changes, in turn: together more than LevelDB keeps in its log. */
const VALUES_BYTES = [300, 5_000, 60_000, 300_000];
const CHANGES = 36;
const PLENTY = { freeBytes: 2 ** 36, totalBytes: 2 ** 37 };

/** Runs one manager again and again on a disk that fills up, each time at another write. */
export class FullDiskRuns {
  readonly #disk: SmallDisk;
  readonly #directory: string;
  readonly #prepare: (directory: string) => Promise<void>;

  /** `prepare` makes the state that each run begins with. */
  constructor(disk: SmallDisk, prepare: (directory: string) => Promise<void>) {
    this.#disk = disk;
    this.#directory = join(disk.path, 'state');
    this.#prepare = prepare;
  }

  /** How many writes a run has that nothing disturbs. */
  async count(): Promise<number> {
    let writes = 0;
    await this.#run(async () => {
      writes++;
    });
    return writes;
  }

  /**
   * Fills the disk before write `at` up to `room` bytes, and empties it when the manager has ended.
   * What is wrong then, or an empty text. Write 0 is the opening.
   */
  async fillAt(at: number, room: number): Promise<string> {
    let writes = 0;
    let acknowledged: Map<string, number>;
    try {
      if (at === 0) await this.#fresh(room);
      acknowledged = await this.#run(async () => {
        if (++writes === at) await this.#disk.fill(room);
      }, at === 0);
    } catch (error) {
      return messageOf(error);
    } finally {
      await this.#disk.free();
    }
    return this.#check(acknowledged);
  }

  async #fresh(room?: number): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true });
    await this.#prepare(this.#directory);
    if (room !== undefined) await this.#disk.fill(room);
  }

  /** Returns the sizes of what was acknowledged, by id. */
  async #run(onWrite: () => Promise<void>, isFull = false): Promise<Map<string, number>> {
    const acknowledged = new Map<string, number>();
    if (!isFull) await this.#fresh();
    let manager: LoneManager;
    try {
      manager = await LoneManager.open(this.#directory, watched(onWrite));
    } catch (error) {
      // A full disk must not look like a damaged one: that would cost the manager its membership.
      if (SwarmError.is(error) && error.code === 'STATE_DIR') return acknowledged;
      throw error;
    }
    let failed = 0;
    for (let n = 0; n < CHANGES; n++) {
      const bytes = VALUES_BYTES[n % VALUES_BYTES.length]!;
      const isDone = await manager.putAll([`row${n}`], Buffer.alloc(bytes, n)).then(
        () => true,
        () => false,
      );
      if (isDone && failed > 0) throw new Error(`row${n} was acknowledged after a failed write`);
      if (isDone) acknowledged.set(`row${n}`, bytes);
      // The room comes back, but not the trust in what LevelDB wrote since.
      else if (failed++ === 0) await this.#disk.free();
      if (failed === 3) break;
    }
    if (failed > 0 && manager.fatal.length === 0) throw new Error('it did not ask to be ended');
    await manager.close();
    return acknowledged;
  }

  async #check(acknowledged: Map<string, number>): Promise<string> {
    let manager: LoneManager;
    try {
      manager = await LoneManager.open(
        this.#directory,
        watched(async () => undefined),
      );
    } catch (error) {
      return `it does not open any more: ${messageOf(error)}`;
    }
    const values = manager.values();
    await manager.close();
    for (const [id, bytes] of acknowledged) {
      const value = values.get(id);
      const n = Number(id.slice(3)) & 0xff;
      if (value?.length !== bytes || value.some((byte) => byte !== n)) return `${id} is lost`;
    }
    return '';
  }
}

/** The real disk, which says that it has room: the guard that would stop in time is looked away. */
function watched(onWrite: () => Promise<void>): LoneManagerDeps {
  const overwrite: Disk['overwrite'] = async (path, bytes) => {
    await onWrite();
    await systemDisk.overwrite(path, bytes);
  };
  return {
    disk: { ...systemDisk, overwrite, space: async () => PLENTY },
    openEngine: async (path) => watchedEngine(await openLevel(path), onWrite),
  };
}

function watchedEngine(engine: Engine, onWrite: () => Promise<void>): Engine {
  return {
    write: async (ops, sync) => {
      await onWrite();
      await engine.write(ops, sync);
    },
    get: (key) => engine.get(key),
    getSync: (key, snapshot) => engine.getSync(key, snapshot),
    iterate: (range, snapshot) => engine.iterate(range, snapshot),
    snapshot: () => engine.snapshot(),
    close: () => engine.close(),
  };
}
