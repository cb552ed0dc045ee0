import * as fs from 'node:fs/promises';

/**
 * The few things done to files beside LevelDB: injected, so that tests and simulations can tear,
 * lose and refuse them. Files are made with mode 0600, directories with 0700.
 */
export interface Disk {
  /** Undefined when there is no such file. */
  readFile(path: string): Promise<Uint8Array | undefined>;
  /** Writes `bytes` at the start of the file (made when absent) and returns when durable. */
  overwrite(path: string, bytes: Uint8Array): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  /** Makes names in a directory durable. */
  syncDirectory(path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** A file or a whole tree; absent is fine. */
  remove(path: string): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Names in a directory; none when it is absent. */
  list(path: string): Promise<readonly string[]>;
  space(path: string): Promise<{ readonly freeBytes: number; readonly totalBytes: number }>;
}

/** The real one. */
export const systemDisk: Disk = {
  async readFile(path) {
    try {
      return await fs.readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  },
  async overwrite(path, bytes) {
    const file = await openForUpdate(path);
    try {
      const { bytesWritten } = await file.write(bytes, 0, bytes.length, 0);
      if (bytesWritten < bytes.length) throw new Error(`only ${bytesWritten} bytes were written`);
      await file.datasync();
    } finally {
      await file.close();
    }
  },
  async makeDirectory(path) {
    await fs.mkdir(path, { recursive: true, mode: 0o700 });
  },
  async syncDirectory(path) {
    const directory = await fs.open(path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
  rename: (from, to) => fs.rename(from, to),
  remove: (path) => fs.rm(path, { recursive: true, force: true }),
  async exists(path) {
    return fs.access(path).then(
      () => true,
      () => false,
    );
  },
  list: (path) => fs.readdir(path).catch(() => []),
  async space(path) {
    const stats = await fs.statfs(path);
    return { freeBytes: stats.bavail * stats.bsize, totalBytes: stats.blocks * stats.bsize };
  },
};

/** Never truncates: a crash in between must leave what was there. */
async function openForUpdate(path: string): Promise<fs.FileHandle> {
  try {
    return await fs.open(path, 'r+');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return fs.open(path, 'wx', 0o600);
  }
}
