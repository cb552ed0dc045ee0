import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Resources } from '../../../proto/index.ts';
import type { Io } from '../../io.ts';

const CONTROLLERS = ['memory', 'cpu', 'pids'] as const;
type Controller = (typeof CONTROLLERS)[number];
const CPU_PERIOD_US = 100_000;

/** Where the groups of this daemon's tasks go, one directory a controller (v2: the same for all). */
interface Layout {
  readonly version: 1 | 2;
  readonly bases: ReadonlyMap<Controller, string>;
}

const NO_LAYOUT: Layout = { version: 1, bases: new Map() };
/** File names and what to write there. */
type Writes = readonly (readonly [string, string])[];

export type LimitSupport = 'full' | 'partial' | 'none';

/** Of the group around those of a node's tasks, in each hierarchy. */
export function cgroupName(stateDir: string): string {
  return `swarm-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`;
}

/** Limits of tasks by control groups, v1 and v2, as far as this daemon may write them. */
export class Cgroups {
  readonly #io: Io;
  readonly #uid: number;
  readonly #name: string;
  #layout: Layout | undefined;
  /** Groups to take away whose last process was not gone yet. */
  readonly #busy = new Set<string>();

  constructor(io: Io, uid: number, stateDir: string) {
    this.#io = io;
    this.#uid = uid;
    this.#name = cgroupName(stateDir);
  }
  /** Finds out by making a group what works here. */
  open(): LimitSupport {
    this.#layout = this.#findV1() ?? this.#findV2();
    const count = this.#layout?.bases.size ?? 0;
    return count === CONTROLLERS.length ? 'full' : count > 0 ? 'partial' : 'none';
  }
  /** Takes away what `open` made; what still holds tasks stays. */
  close(): void {
    this.#remove(this.#bases);
  }
  /** The groups that a task has; none without limits. */
  groupsOf(taskId: string, limits: Resources | null): readonly string[] {
    const groups = [...this.#wanted(limits)].map(([base]) => join(base, taskId));
    return [...new Set(groups)];
  }
  /** Makes them. Repeatable. */
  make(taskId: string, limits: Resources | null): void {
    for (const [base, writes] of this.#wanted(limits)) {
      this.#io.mkdir(join(base, taskId));
      for (const [file, value] of writes) this.#io.write(join(base, taskId, file), value);
    }
  }
  /** Limits of this spec that this node can't keep. */
  missing(limits: Resources | null): readonly string[] {
    if (!limits) return [];
    return CONTROLLERS.filter(
      (controller) =>
        limitWrites(1, controller, limits).length > 0 && !this.#layout?.bases.has(controller),
    );
  }
  /** Asked by the id alone: who adopts a task may not know its limits yet. */
  oomKilled(taskId: string): boolean {
    return this.#bases.some((base) =>
      ['memory.oom_control', 'memory.events'].some((file) => {
        const text = this.#io.read(join(base, taskId, file))?.toString('utf8') ?? '';
        return /^oom_kill [1-9]/m.test(text);
      }),
    );
  }
  /** All groups of a task, by its id alone: who clears it away may not know its limits. */
  remove(taskId: string): void {
    const groups = this.#bases.map((base) => join(base, taskId));
    this.#remove(groups.filter((group) => this.#io.stat(group) !== undefined));
  }
  /** A group that still holds a process stays; the next call takes it, for whatever that is. */
  #remove(groups: readonly string[]): void {
    for (const group of new Set([...this.#busy, ...groups])) {
      this.#busy.delete(group);
      try {
        this.#io.rmdir(group);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'EBUSY') this.#busy.add(group);
      }
    }
  }
  /** One in which every controller is has to be named once. */
  get #bases(): readonly string[] {
    return [...new Set(this.#layout?.bases.values())];
  }
  #wanted(limits: Resources | null): readonly (readonly [string, Writes])[] {
    const { version, bases } = this.#layout ?? NO_LAYOUT;
    if (!limits) return [];
    return [...bases]
      .map(([controller, base]) => [base, limitWrites(version, controller, limits)] as const)
      .filter(([, writes]) => writes.length > 0);
  }
  #findV1(): Layout | undefined {
    const own = ownPaths(this.#io);
    const bases = new Map<Controller, string>();
    const tried: string[] = [];
    for (const mount of cgroupMounts(this.#io, 'cgroup')) {
      for (const controller of CONTROLLERS) {
        if (!mount.options.includes(controller)) continue;
        const path = own.get(controller);
        const inside = path?.startsWith(mount.root) ? path.slice(mount.root.length) : path;
        const base = join(mount.path, this.#uid === 0 ? '' : (inside ?? ''), this.#name);
        tried.push(base);
        if (this.#works(1, controller, base)) bases.set(controller, base);
      }
    }
    return this.#layoutOf(1, tried, bases);
  }
  #findV2(): Layout | undefined {
    const [mount] = cgroupMounts(this.#io, 'cgroup2');
    if (!mount) return undefined;
    const own = join(mount.path, ownPaths(this.#io).get('') ?? '');
    const parent = this.#uid === 0 ? mount.path : own;
    if (this.#uid !== 0) this.#delegate(own);
    const base = join(parent, this.#name);
    try {
      this.#io.mkdir(base);
    } catch {
      return undefined;
    }
    const bases = new Map<Controller, string>();
    for (const controller of CONTROLLERS) {
      this.#tryWrite(join(base, 'cgroup.subtree_control'), `+${controller}`);
      if (this.#works(2, controller, base)) bases.set(controller, base);
    }
    return this.#layoutOf(2, [base], bases);
  }
  /** What was tried in vain leaves nothing. */
  #layoutOf(
    version: 1 | 2,
    tried: readonly string[],
    bases: ReadonlyMap<Controller, string>,
  ): Layout | undefined {
    const used = new Set(bases.values());
    this.#remove(tried.filter((base) => !used.has(base)));
    return bases.size > 0 ? { version, bases } : undefined;
  }
  /** A group with processes can't hand controllers down: this daemon moves into a leaf of its own. */
  #delegate(own: string): void {
    const file = join(own, 'cgroup.subtree_control');
    if (this.#tryWrite(file, '+memory +cpu +pids')) return;
    const leaf = join(own, 'swarmd');
    try {
      this.#io.mkdir(leaf);
    } catch {
      return;
    }
    if (this.#tryWrite(join(leaf, 'cgroup.procs'), '0')) {
      this.#tryWrite(file, '+memory +cpu +pids');
    }
  }
  #works(version: 1 | 2, controller: Controller, base: string): boolean {
    const group = join(base, 'probe');
    try {
      this.#io.mkdir(group);
      for (const [file, value] of limitWrites(version, controller, PROBE_LIMITS)) {
        this.#io.write(join(group, file), value);
      }
      // Whether a process may be put in is asked of the file itself.
      return this.#io.stat(join(group, 'cgroup.procs')) !== undefined;
    } catch {
      return false;
    } finally {
      this.#remove([group]);
    }
  }
  #tryWrite(path: string, value: string): boolean {
    try {
      this.#io.write(path, value);
      return true;
    } catch {
      return false;
    }
  }
}

const PROBE_LIMITS: Resources = {
  nanoCpus: 1_000_000_000,
  memoryBytes: 64 << 20,
  pids: 100,
  generic: {},
};

/** Files of one controller and what to write there, for limits that are set. */
function limitWrites(version: 1 | 2, controller: Controller, limits: Resources): Writes {
  const { memoryBytes, nanoCpus, pids } = limits;
  if (controller === 'memory' && memoryBytes > 0) {
    return [[version === 1 ? 'memory.limit_in_bytes' : 'memory.max', String(memoryBytes)]];
  }
  if (controller === 'pids' && pids > 0) return [['pids.max', String(pids)]];
  if (controller === 'cpu' && nanoCpus > 0) {
    const quota = Math.max(1_000, Math.round((nanoCpus / 1e9) * CPU_PERIOD_US));
    if (version === 2) return [['cpu.max', `${quota} ${CPU_PERIOD_US}`]];
    return [
      ['cpu.cfs_period_us', String(CPU_PERIOD_US)],
      ['cpu.cfs_quota_us', String(quota)],
    ];
  }
  return [];
}

interface CgroupMount {
  readonly path: string;
  readonly root: string;
  readonly options: readonly string[];
}

function cgroupMounts(io: Io, type: 'cgroup' | 'cgroup2'): readonly CgroupMount[] {
  const text = io.read('/proc/self/mountinfo')?.toString('utf8') ?? '';
  const mounts: CgroupMount[] = [];
  for (const line of text.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const fields = left.split(' ');
    const [kind, , options = ''] = right.split(' ');
    if (kind !== type) continue;
    mounts.push({ root: fields[3] ?? '/', path: fields[4] ?? '', options: options.split(',') });
  }
  return mounts;
}

/** Controller → path of this process's group; the empty name is v2's. */
function ownPaths(io: Io): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  for (const line of (io.read('/proc/self/cgroup')?.toString('utf8') ?? '').split('\n')) {
    const [, controllers = '', ...path] = line.split(':');
    for (const controller of controllers.split(',')) paths.set(controller, path.join(':'));
  }
  return paths;
}
