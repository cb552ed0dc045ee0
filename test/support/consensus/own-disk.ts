import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { missingPrograms } from '../programs.ts';
import { mustRun } from '../swarm.ts';

const IMAGE_BYTES = 128 << 20;
/** A file system that stands still holds whoever touches it, this test's end included. */
const FROZEN_MAX_S = 20;

/** Why there can be no such disk here; empty: there can. With CI=true a missing program is an error. */
export async function missingForDisks(): Promise<string> {
  const missing = missingPrograms(['mkfs.ext4', 'fsfreeze', 'losetup', 'mount']);
  if (missing.length > 0 && process.env['CI'] === 'true') throw new Error(missing.join(', '));
  if (missing.length > 0) return `disks of their own: ${missing.join(', ')} missing`;
  const found = await mustRun('losetup', ['--find']).catch(() => '');
  return found === '' ? 'disks of their own: this machine has no loop devices' : '';
}

/** A small file system of its own: it can be filled, and stand still as a disk that hangs does. */
export class OwnDisk {
  readonly path: string;
  readonly #image: string;

  private constructor(path: string, image: string) {
    this.path = path;
    this.#image = image;
  }

  /** Mounted at `path`, which is made. Root only. */
  static async mount(path: string): Promise<OwnDisk> {
    const image = `${path}.image`;
    writeFileSync(image, '');
    await mustRun('truncate', ['--size', String(IMAGE_BYTES), image]);
    await mustRun('mkfs.ext4', ['-q', '-F', '-m', '0', image]);
    mkdirSync(path, { mode: 0o700 });
    await mustRun('mount', ['-o', 'loop', image, path]);
    chmodSync(path, 0o700);
    return new OwnDisk(path, image);
  }

  /** From now on every write waits, until `thaw`, at most 20 s. */
  async freeze(): Promise<void> {
    await mustRun('fsfreeze', ['--freeze', this.path]);
    const late = `sleep ${FROZEN_MAX_S}; fsfreeze --unfreeze ${this.path} 2>/dev/null`;
    spawn('sh', ['-c', late], { detached: true, stdio: 'ignore' }).unref();
  }
  async thaw(): Promise<void> {
    await mustRun('fsfreeze', ['--unfreeze', this.path]).catch(() => undefined);
  }

  /** Leaves so many bytes free. */
  async fill(freeBytes: number): Promise<void> {
    const { bavail, bsize } = statfsSync(this.path);
    const bytes = bavail * bsize - freeBytes;
    await mustRun('fallocate', ['--length', String(bytes), this.#ballast]);
  }
  empty(): void {
    rmSync(this.#ballast, { force: true });
  }

  /** Nothing may run there any more. */
  async unmount(): Promise<void> {
    await this.thaw();
    await mustRun('umount', [this.path]);
    rmSync(this.#image, { force: true });
  }

  get #ballast(): string {
    return join(this.path, 'ballast');
  }
}
