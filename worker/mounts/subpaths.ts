import { createHash } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../shared/errors.ts';
import { isSubpath } from '../../shared/subpath.ts';
import type { Io } from '../io.ts';
import { RuntimeError } from '../runtime.ts';

const MOUNT_MS = 10_000;
/** A directory itself, never what a link there leads to. */
const FLAGS = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Directories below volumes that containers mount in place of the whole (`volume-subpath`). Other
 * containers may change what is below a volume at any moment, so no path there is used twice: the
 * directory is opened once, step by step, and what was opened is mounted at a place of this node
 * alone, from which the container is made.
 */
export class Subpaths {
  readonly #io: Pick<Io, 'list' | 'mkdir' | 'rmdir' | 'run' | 'stat'>;
  readonly #directory: string;

  /** `directory`: nobody else may write in it, nor take it away with all that is in it. */
  constructor(io: Pick<Io, 'list' | 'mkdir' | 'rmdir' | 'run' | 'stat'>, directory: string) {
    this.#io = io;
    this.#directory = directory;
  }
  /** Where the directory is for the container. */
  place(taskId: string, target: string): string {
    const short = createHash('sha256').update(target).digest('hex').slice(0, 16);
    return join(this.#directory, taskId, short);
  }
  /** Throws RuntimeError where there is no such directory, or a link on the way. Repeatable. */
  async mount(taskId: string, target: string, root: string, subpath: string): Promise<void> {
    const place = this.place(taskId, target);
    const directory = openBelow(root, subpath);
    try {
      await this.#takeAway(place);
      this.#io.mkdir(place);
      const source = `/proc/${process.pid}/fd/${directory}`;
      // As it is: a path that is looked up anew may lead somewhere else by now.
      const result = await this.#run('mount', ['--no-canonicalize', '--bind', source, place]);
      if (result.code !== 0)
        throw new RuntimeError('IO', `can't mount ${subpath} of a volume: ${result.output}`, true);
    } finally {
      closeSync(directory);
    }
  }
  /** A container that runs keeps what it has. */
  async release(taskId: string): Promise<void> {
    const around = join(this.#directory, taskId);
    const names = this.#io.list(around);
    for (const name of names) await this.#takeAway(join(around, name));
    if (names.length > 0) this.#io.rmdir(around);
  }
  async releaseAll(): Promise<void> {
    for (const taskId of this.#io.list(this.#directory)) await this.release(taskId);
  }
  /** Only ever an empty directory: a mount that is still there keeps it, and its contents. */
  async #takeAway(place: string): Promise<void> {
    if (this.#io.stat(place) === undefined) return;
    await this.#run('umount', ['--lazy', place]);
    this.#io.rmdir(place);
  }
  #run(command: string, args: readonly string[]) {
    return this.#io.run({ command, args, timeoutMs: MOUNT_MS, outputBytesMax: 1_024 });
  }
}

/** A descriptor, the caller's to close. Each step starts at the directory that was opened before. */
function openBelow(root: string, subpath: string): number {
  if (!isSubpath(subpath))
    throw new RuntimeError('INVALID_SPEC', `volume-subpath=${subpath} does not lie in the volume`);
  let at = openSync(root, FLAGS);
  for (const name of subpath.split('/')) {
    const before = at;
    try {
      at = openSync(`/proc/self/fd/${before}/${name}`, FLAGS);
    } catch (error) {
      const text = `the volume has no directory ${subpath} (no link may be on the way): make it first`;
      throw new RuntimeError('INVALID_SPEC', `${text}: ${messageOf(error)}`, false, error);
    } finally {
      closeSync(before);
    }
  }
  return at;
}
