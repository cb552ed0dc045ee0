import { cp, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type Disk,
  type Engine,
  type OpenEngine,
  openLevel,
  systemDisk,
} from '../../../manager/database/index.ts';

/** One write that a member waited for, and what its directory was before and after. */
export interface WritePoint {
  readonly before: string;
  readonly after: string;
  /** A synced batch of LevelDB, or a small file that is written in place. */
  readonly kind: 'batch' | 'file';
  /** The script's step that caused it. */
  readonly step: string;
}

/**
 * The real disk and the real LevelDB, with a copy of the directory after every write: what a crash
 * at that moment would leave behind.
 */
export class RecordedDisk {
  readonly points: WritePoint[] = [];
  readonly disk: Disk;
  readonly openEngine: OpenEngine;
  step = '';
  readonly #directory: string;
  readonly #copies: string;

  constructor(directory: string, copies: string) {
    this.#directory = directory;
    this.#copies = copies;
    const overwrite: Disk['overwrite'] = async (path, bytes) => {
      await this.#recorded('file', () => systemDisk.overwrite(path, bytes));
    };
    this.disk = { ...systemDisk, overwrite };
    this.openEngine = async (path) => this.#engine(await openLevel(path));
  }

  #engine(engine: Engine): Engine {
    return {
      write: (ops, sync) => this.#recorded('batch', () => engine.write(ops, sync)),
      get: (key) => engine.get(key),
      getSync: (key, snapshot) => engine.getSync(key, snapshot),
      iterate: (range, snapshot) => engine.iterate(range, snapshot),
      snapshot: () => engine.snapshot(),
      close: () => engine.close(),
    };
  }

  async #recorded(kind: WritePoint['kind'], write: () => Promise<void>): Promise<void> {
    // What happened since the last write point is no write of ours: it belongs to what was before.
    const before = await this.#copy('before');
    await write();
    const after = await this.#copy('after');
    this.points.push({ before, after, kind, step: this.step });
  }

  async #copy(moment: string): Promise<string> {
    const path = join(this.#copies, `${this.points.length}-${moment}`);
    await cp(this.#directory, path, { recursive: true });
    return path;
  }
}

/** Files of a directory with their sizes, by their path below it. */
export async function fileSizes(directory: string): Promise<Map<string, number>> {
  const sizes = new Map<string, number>();
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    sizes.set(path.slice(directory.length + 1), (await stat(path)).size);
  }
  return sizes;
}
