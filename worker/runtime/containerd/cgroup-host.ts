import { join } from 'node:path';
import { TaskUsage } from '../../../proto/index.ts';
import type { Io, Tap } from '../../io.ts';
import type { KernelKnobs } from '../oci/resources.ts';
import { networkUsage, separateUsage, unifiedUsage } from './cgroup-usage.ts';

interface Mount {
  readonly path: string;
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
}

/** How this machine's control groups are laid out, and where those of this node's containers are. */
export class CgroupHost {
  readonly #io: Io;
  readonly #short: string;
  readonly #mounts: readonly Mount[];
  #kernelLog: Tap | undefined;
  readonly #oomKilled = new Set<string>();
  /** Only v2: containers get a cgroup namespace of their own. */
  readonly unified: boolean;
  /** systemd owns the tree: groups are made by it. */
  readonly systemd: boolean;

  /** `short`: first 8 characters of the node id. */
  constructor(io: Io, short: string) {
    this.#io = io;
    this.#short = short;
    this.#mounts = cgroupMounts(io);
    this.unified = !this.#mounts.some((mount) => mount.version === 1 && hasController(mount));
    this.systemd = this.unified && io.stat('/run/systemd/system') !== undefined;
  }
  get name(): 'v1' | 'v2' | 'hybrid' {
    if (this.unified) return 'v2';
    return this.#mounts.some(({ version }) => version === 2) ? 'hybrid' : 'v1';
  }
  /** What can be set for a container here. */
  get knobs(): KernelKnobs {
    const has = (controller: string, file: string): boolean => {
      const mount = this.#mount(controller);
      return mount !== undefined && this.#io.stat(join(mount.path, file)) !== undefined;
    };
    return {
      swapLimit: this.unified || has('memory', 'memory.memsw.limit_in_bytes'),
      swappiness: !this.unified && has('memory', 'memory.swappiness'),
      blkioWeight: this.unified
        ? this.#anyGroupHas('io.bfq.weight') || this.#anyGroupHas('io.weight')
        : has('blkio', 'blkio.weight') || has('blkio', 'blkio.bfq.io_service_bytes'),
    };
  }
  /** As runc wants it. */
  pathFor(taskId: string): string {
    if (this.systemd) return `swarm-${this.#short}.slice:swarm:${taskId}`;
    return `/swarm/${this.#short}/${taskId}`;
  }
  /**
   * The kernel killed something in the group because it used too much memory. systemd takes a group
   * away with its last process: then the kernel's log tells.
   */
  oomKilled(taskId: string): boolean {
    const events = this.#read(
      'memory',
      taskId,
      this.unified ? 'memory.events' : 'memory.oom_control',
    );
    if (events !== '' || !this.systemd) return /^oom_kill [1-9]/m.test(events);
    return this.#ranOut().has(taskId);
  }
  /** All of this node's that the kernel's log says it of, so far. */
  #ranOut(): ReadonlySet<string> {
    this.#kernelLog ??= this.#io.tap('/dev/kmsg');
    const scope = new RegExp(
      `\\boom_memcg=[^,]*/swarm-${this.#short}\\.slice/swarm-(\\w+)\\.scope`,
      'g',
    );
    const text = this.#kernelLog.read().toString('latin1');
    for (const [, taskId] of text.matchAll(scope)) this.#oomKilled.add(taskId!);
    return this.#oomKilled;
  }
  /** Of a container, as the machine numbers them. */
  processes(taskId: string): readonly number[] {
    const pids = this.#read('pids', taskId, 'cgroup.procs');
    return pids.split('\n').filter(Boolean).map(Number);
  }
  /** What a container uses; undefined: it has no group, so it does not run. */
  usage(taskId: string): TaskUsage | undefined {
    const read = (controller: string, file: string): string => this.#read(controller, taskId, file);
    const pids = read('pids', 'cgroup.procs').trim();
    if (pids === '') return undefined;
    const net = this.#io.read(`/proc/${pids.split('\n')[0]}/net/dev`)?.toString('utf8') ?? '';
    const parts = this.unified ? unifiedUsage(read) : separateUsage(read);
    const processes = Number(read('pids', 'pids.current')) || pids.split('\n').length;
    return TaskUsage.create({ taskId, processes, ...parts, ...networkUsage(net) });
  }
  /** The groups around the containers' own, where they are empty. */
  removeParents(): void {
    if (this.systemd) return;
    for (const { path } of this.#mounts) {
      for (const group of [`swarm/${this.#short}`, 'swarm']) {
        try {
          if (this.#io.stat(join(path, group)) !== undefined) this.#io.rmdir(join(path, group));
        } catch {
          // Busy: another node's, or a container that still runs.
        }
      }
    }
  }
  /** The first group has no weight, but its children do. */
  #anyGroupHas(file: string): boolean {
    const path = this.#mount('io')?.path ?? '/';
    return this.#io.list(path).some((name) => this.#io.stat(join(path, name, file)) !== undefined);
  }
  #mount(controller: string): Mount | undefined {
    return this.#mounts.find(({ version, controllers }) =>
      version === 1 ? controllers.includes(controller) : this.unified,
    );
  }
  /** A file of a container's group; empty where there is none. */
  #read(controller: string, taskId: string, file: string): string {
    const mount = this.#mount(controller);
    if (mount === undefined) return '';
    const group = this.systemd
      ? `/swarm.slice/swarm-${this.#short}.slice/swarm-${taskId}.scope`
      : this.pathFor(taskId);
    return this.#io.read(join(mount.path, group, file))?.toString('utf8') ?? '';
  }
}

function hasController({ controllers }: Mount): boolean {
  return controllers.some((name) => ['memory', 'cpu', 'pids', 'devices'].includes(name));
}

function cgroupMounts(io: Io): readonly Mount[] {
  const text = io.read('/proc/self/mountinfo')?.toString('utf8') ?? '';
  return text.split('\n').flatMap((line): readonly Mount[] => {
    const [left = '', right = ''] = line.split(' - ');
    const [type, , options = ''] = right.split(' ');
    const path = left.split(' ')[4] ?? '';
    if (type === 'cgroup2') return [{ path, version: 2, controllers: [] }];
    return type === 'cgroup' ? [{ path, version: 1, controllers: options.split(',') }] : [];
  });
}
