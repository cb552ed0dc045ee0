import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { MountPoint } from '../../proto/containerd.ts';
import type { Io } from '../runtime/io.ts';
import { RuntimeError } from '../runtime/runtime.ts';
import { SnapshotRoot } from './snapshot-root.ts';

const COPY_MS = 10 * 60_000;

/** A volume that a container is about to use. */
export interface VolumeUse {
  /** Empty: one of the task's own, which goes with it. */
  readonly name: string;
  readonly target: string;
}

/** Local volumes of this node: directories in its state directory. */
export class Volumes {
  readonly #io: Io;
  readonly #directory: string;
  readonly #making = new Map<string, Promise<void>>();

  constructor(io: Io, directory: string) {
    this.#io = io;
    this.#directory = directory;
  }
  /** Where the contents are. */
  path(taskId: string, use: VolumeUse): string {
    return join(this.#root(taskId, use), 'data');
  }
  /** Makes the volume on its first use, with what the image has at that place. */
  async ensure(taskId: string, use: VolumeUse, rootfs: readonly MountPoint[]): Promise<void> {
    const root = this.#root(taskId, use);
    await this.#making.get(root)?.catch(() => undefined);
    if (this.#io.stat(root) !== undefined) return;
    const making = this.#make(root, use.target, rootfs);
    this.#making.set(root, making);
    await making.finally(() => this.#making.delete(root));
  }
  /** The volumes that were the task's own. */
  removeOwn(taskId: string): void {
    this.#io.removeTree(this.#own(taskId));
  }
  async #make(root: string, target: string, rootfs: readonly MountPoint[]): Promise<void> {
    const beside = `${root}.new`;
    this.#io.removeTree(beside);
    // Makes the folder around it as well.
    this.#io.mkdir(join(beside, 'data'));
    const source = new SnapshotRoot(rootfs).directory(target);
    if (source !== undefined) await this.#copy(source, join(beside, 'data'), rootfs, beside);
    this.#io.rename(beside, root);
  }
  /** In a mount namespace of its own: whatever happens, no mount is left. */
  async #copy(
    source: string,
    data: string,
    rootfs: readonly MountPoint[],
    beside: string,
  ): Promise<void> {
    const [mount] = rootfs;
    if (mount === undefined) return;
    const place = join(beside, 'image');
    this.#io.mkdir(place);
    const script = 'mount -t "$1" -o "$2" "$3" "$4" && cp -a "$4$5/." "$6"';
    const options = [...mount.options, 'ro'].join(',');
    const args = [mount.type, options, mount.source, place, source, data];
    const result = await this.#io.run({
      command: 'unshare',
      args: ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', ...args],
      timeoutMs: COPY_MS,
      outputBytesMax: 4_096,
    });
    this.#io.rmdir(place);
    if (result.code === 0) return;
    throw new RuntimeError('IO', `can't fill a new volume for ${source}: ${result.output}`, true);
  }
  #root(taskId: string, { name, target }: VolumeUse): string {
    if (name !== '') return join(this.#directory, 'named', name);
    const short = createHash('sha256').update(target).digest('hex').slice(0, 16);
    return join(this.#own(taskId), short);
  }
  #own(taskId: string): string {
    return join(this.#directory, 'own', taskId);
  }
}
