import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { MountPoint } from '../../proto/containerd.ts';
import { NodeVolume } from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import type { InsideCommand } from '../inside/dialer.ts';
import { openFiles } from '../inside/files-session.ts';
import { readOnlyMount } from '../inside/short-mount.ts';
import type { Io } from '../io.ts';
import { type FilesSession, RuntimeError, type VolumeImport } from '../runtime.ts';
import { SnapshotRoot } from './snapshot-root.ts';
import { Subpaths } from './subpaths.ts';
import { checkVolumeName, memoryOptions, type VolumeUse } from './volume-options.ts';

const COPY_MS = 10 * 60_000;
const REMOVE_MS = 10 * 60_000;
const MOUNT_MS = 10_000;

export interface VolumesDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly random: Random;
  readonly directory: string;
  /** The helper that reads and writes archives. */
  readonly inside: InsideCommand;
}

/**
 * Local volumes of this node: directories in its state directory. Each is made beside its place and
 * renamed into it, so that there is all of it or nothing; nobody but `remove` takes a named one away.
 */
export class Volumes {
  readonly #deps: VolumesDeps;
  readonly #subpaths: Subpaths;
  readonly #making = new Map<string, Promise<void>>();
  #onChange: () => void = () => undefined;

  constructor(deps: VolumesDeps) {
    this.#deps = deps;
    this.#subpaths = new Subpaths(deps.io, join(deps.directory, 'subpaths'));
  }
  /** Takes away what a daemon that was killed left half-made. */
  async open(): Promise<void> {
    if (this.#deps.io.list(this.#beside).length > 0) await this.#delete(this.#beside);
  }
  /** Called when a named volume came or went. */
  onChange(fn: () => void): void {
    this.#onChange = fn;
  }
  /** The named ones, by name. */
  list(): readonly NodeVolume[] {
    const names = [...this.#deps.io.list(join(this.#deps.directory, 'named'))].sort();
    return names.map((name) => this.#facts(name));
  }
  /** Where the contents are. */
  path(taskId: string, use: Pick<VolumeUse, 'name' | 'target'>): string {
    return join(this.#root(taskId, use), 'data');
  }
  /** What a container mounts: `path`, or a directory of it. */
  source(taskId: string, use: Pick<VolumeUse, 'name' | 'target' | 'subpath'>): string {
    if (use.subpath === undefined) return this.path(taskId, use);
    return this.#subpaths.place(taskId, use.target);
  }
  /** Makes the volume on its first use, with what the image has at that place. */
  async ensure(taskId: string, use: VolumeUse, rootfs: readonly MountPoint[]): Promise<void> {
    const root = this.#root(taskId, use);
    await this.#once(root, async () => {
      if (this.#deps.io.stat(root) === undefined) await this.#make(root, use, rootfs);
      await this.#mountMemory(use.name);
    });
    if (use.subpath !== undefined)
      await this.#subpaths.mount(taskId, use.target, this.path(taskId, use), use.subpath);
  }
  /** Makes an empty volume; one that is there already stays as it is. */
  async create(
    name: string,
    labels: { readonly [key: string]: string },
    options: { readonly [key: string]: string },
  ): Promise<NodeVolume> {
    checkVolumeName(name);
    memoryOptions(options);
    await this.ensure('', { name, target: '', labels, options }, []);
    const facts = this.#facts(name);
    if (JSON.stringify(facts.options) === JSON.stringify(options)) return facts;
    throw new RuntimeError(
      'NOT_ALLOWED',
      `there is a volume ${name} with other options: remove it first, or take another name`,
    );
  }
  /** With all that is in it. Throws RuntimeError VOLUME_NOT_FOUND. */
  async remove(name: string): Promise<void> {
    const root = this.#known(name);
    const { io } = this.#deps;
    if (this.#isMounted(name)) await this.#run('umount', [join(root, 'data')], MOUNT_MS);
    const trash = this.#place();
    io.mkdir(this.#beside);
    io.rename(root, trash);
    this.#onChange();
    await this.#delete(trash);
  }
  /** A tar archive of what is in it. */
  read(name: string): Promise<FilesSession> {
    const root = join(this.#known(name), 'data');
    return this.#files('read', root);
  }
  /** Takes an archive that becomes the volume at `commit`, all of it or nothing. */
  async write(name: string, replace: boolean): Promise<VolumeImport> {
    checkVolumeName(name);
    const { io } = this.#deps;
    const root = this.#root('', { name, target: '' });
    if (this.#isMounted(name)) {
      throw new RuntimeError('UNSUPPORTED', `the volume ${name} is memory: copy files into a task`);
    }
    if (!replace && io.list(join(root, 'data')).length > 0) {
      throw new RuntimeError(
        'NOT_ALLOWED',
        `the volume ${name} is not empty: --replace replaces it`,
      );
    }
    const fresh = this.#place();
    io.mkdir(join(fresh, 'data'));
    const files = await this.#files('write', join(fresh, 'data')).catch(async (error) => {
      await this.#delete(fresh);
      throw error;
    });
    const close = async (): Promise<void> => {
      files.close();
      await this.#delete(fresh);
    };
    return { files, close, commit: () => this.#exchange(name, root, fresh) };
  }
  /** The task's container has ended, or will never be. */
  async release(taskId: string): Promise<void> {
    await this.#subpaths.release(taskId);
  }
  /** The volumes that were the task's own. */
  removeOwn(taskId: string): void {
    this.#deps.io.removeTree(this.#own(taskId));
  }
  /** This node is not coming back: nothing of it stays mounted. */
  async unmountAll(): Promise<void> {
    await this.#subpaths.releaseAll();
    for (const { name, path } of this.list())
      if (this.#isMounted(name)) await this.#run('umount', ['-l', path], MOUNT_MS);
  }

  async #exchange(name: string, root: string, fresh: string): Promise<void> {
    const { io, clock } = this.#deps;
    await this.#once(root, async () => {
      const before = io.stat(root) === undefined ? undefined : io.read(join(root, FACTS));
      io.write(join(fresh, FACTS), before ?? factsText({}, {}, clock.wallMs()));
      await io.fsync(join(fresh, FACTS));
      const old = this.#place();
      if (io.stat(root) !== undefined) io.rename(root, old);
      io.mkdir(join(this.#deps.directory, 'named'));
      io.rename(fresh, root);
      this.#onChange();
      await this.#delete(old);
    });
    if (io.stat(root) === undefined) throw new RuntimeError('IO', `${name} could not be made`);
  }
  #files(action: 'read' | 'write', root: string): Promise<FilesSession> {
    const order = { action, root, path: '/', followLink: false, keepOwner: true, user: null };
    return openFiles(this.#deps.io, this.#deps.inside, { ...order, itself: true });
  }
  /** One after the other for each volume. */
  async #once(root: string, fn: () => Promise<void>): Promise<void> {
    for (let other = this.#making.get(root); other; other = this.#making.get(root))
      await other.catch(() => undefined);
    const making = fn();
    this.#making.set(root, making);
    await making.finally(() => this.#making.delete(root));
  }
  async #make(root: string, use: VolumeUse, rootfs: readonly MountPoint[]): Promise<void> {
    const { io, clock } = this.#deps;
    const { name, target, labels = {}, options = {} } = use;
    if (name !== '' && this.list().length >= LIMITS.volumesPerNodeMax) {
      throw new RuntimeError(
        'RESOURCE',
        `this node has ${LIMITS.volumesPerNodeMax} volumes already`,
      );
    }
    const fresh = this.#place();
    // Makes the folder around it as well.
    io.mkdir(join(fresh, 'data'));
    try {
      const beginsEmpty = use.noCopy === true || memoryOptions(options) !== undefined;
      const source = beginsEmpty ? undefined : new SnapshotRoot(rootfs).directory(target);
      if (source !== undefined) await this.#copy(source, join(fresh, 'data'), rootfs, fresh);
      io.write(join(fresh, FACTS), factsText(labels, options, clock.wallMs()));
      io.mkdir(join(root, '..'));
      io.rename(fresh, root);
    } catch (error) {
      await this.#delete(fresh);
      throw error;
    }
    if (name !== '') this.#onChange();
  }
  /** In a mount namespace of its own: whatever happens, no mount is left. */
  async #copy(
    source: string,
    data: string,
    rootfs: readonly MountPoint[],
    beside: string,
  ): Promise<void> {
    const [full] = rootfs;
    if (full === undefined) return;
    const place = join(beside, 'image');
    this.#deps.io.mkdir(place);
    const mount = readOnlyMount(full, place);
    const script = `${mount.script} && cp -a "$1" "$2"`;
    const args = [...mount.words, `${place}${source}/.`, data];
    const words = ['-m', '--propagation', 'private', 'sh', '-c', script, 'sh', ...args];
    const result = await this.#try('unshare', words, COPY_MS);
    this.#deps.io.rmdir(place);
    if (result.code === 0) return;
    throw new RuntimeError('IO', `can't fill a new volume for ${source}: ${result.output}`, true);
  }
  /** Where the volume is memory it is mounted once, also after a restart of the machine. */
  async #mountMemory(name: string): Promise<void> {
    if (name === '') return;
    const options = memoryOptions(this.#facts(name).options);
    if (options === undefined || this.#isMounted(name)) return;
    const path = this.path('', { name, target: '' });
    await this.#run('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', path], MOUNT_MS);
  }
  #isMounted(name: string): boolean {
    const path = this.path('', { name, target: '' });
    const mounts = this.#deps.io.read('/proc/self/mounts')?.toString('utf8') ?? '';
    return mounts.split('\n').some((line) => line.split(' ')[1] === path);
  }
  #facts(name: string): NodeVolume {
    const { io } = this.#deps;
    const root = this.#root('', { name, target: '' });
    const known = parseFacts(io.read(join(root, FACTS))?.toString('utf8') ?? '');
    const createdWallMs = known.createdWallMs ?? Math.floor(io.stat(root)?.mtimeMs ?? 0);
    return NodeVolume.create({
      name,
      labels: known.labels ?? {},
      options: known.options ?? {},
      createdWallMs,
      path: join(root, 'data'),
    });
  }
  #known(name: string): string {
    checkVolumeName(name);
    const root = this.#root('', { name, target: '' });
    if (this.#deps.io.stat(root) !== undefined) return root;
    throw new RuntimeError('VOLUME_NOT_FOUND', `this node has no volume ${name}`);
  }
  /** Its own process: a directory of a million files must not hold up the daemon. */
  async #delete(path: string): Promise<void> {
    await this.#try('rm', ['-rf', '--one-file-system', '--', path], REMOVE_MS);
  }
  async #run(command: string, args: readonly string[], timeoutMs: number): Promise<void> {
    const { code, output } = await this.#try(command, args, timeoutMs);
    if (code !== 0) throw new RuntimeError('IO', `${command} failed: ${output.trim()}`);
  }
  #try(command: string, args: readonly string[], timeoutMs: number) {
    return this.#deps.io.run({ command, args, timeoutMs, outputBytesMax: 4_096 });
  }
  /** What is on its way in or out is here; the next daemon empties it. */
  get #beside(): string {
    return join(this.#deps.directory, 'beside');
  }
  #place(): string {
    return join(this.#beside, Buffer.from(this.#deps.random.bytes(8)).toString('hex'));
  }
  #root(taskId: string, { name, target }: Pick<VolumeUse, 'name' | 'target'>): string {
    if (name !== '') return join(this.#deps.directory, 'named', name);
    const short = createHash('sha256').update(target).digest('hex').slice(0, 16);
    return join(this.#own(taskId), short);
  }
  #own(taskId: string): string {
    return join(this.#deps.directory, 'own', taskId);
  }
}

const FACTS = 'volume.json';

interface Facts {
  readonly labels?: { readonly [key: string]: string };
  readonly options?: { readonly [key: string]: string };
  readonly createdWallMs?: number;
}

function factsText(labels: object, options: object, createdWallMs: number): string {
  return `${JSON.stringify({ labels, options, createdWallMs })}\n`;
}

/** A file that the disk damaged costs labels and a date, never the contents. */
function parseFacts(text: string): Facts {
  try {
    return JSON.parse(text) as Facts;
  } catch {
    return {};
  }
}
