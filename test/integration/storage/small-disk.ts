import { execFile } from 'node:child_process';
import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const CHUNK = Buffer.alloc(1 << 20);

/** A file system of its own, in memory, that can be filled up to any byte. Needs root. */
export class SmallDisk {
  readonly path: string;
  readonly #filler: string;

  private constructor(path: string) {
    this.path = path;
    this.#filler = join(path, 'filler');
  }

  /** Rejects with the reason where this user may not mount. */
  static async mount(path: string, bytes: number): Promise<SmallDisk> {
    await mkdir(path, { recursive: true });
    await run('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', path]);
    return new SmallDisk(path);
  }

  /** Leaves so much room, rounded to pages. */
  async fill(roomBytes: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.path);
    let left = Math.max(0, bavail * bsize - roomBytes);
    const file = await open(this.#filler, 'a');
    try {
      for (; left > 0; left -= CHUNK.length) {
        await file.write(CHUNK, 0, Math.min(left, CHUNK.length));
      }
    } finally {
      await file.close();
    }
  }

  async free(): Promise<void> {
    await rm(this.#filler, { force: true });
  }

  async unmount(): Promise<void> {
    await run('umount', ['-l', this.path]);
  }
}
