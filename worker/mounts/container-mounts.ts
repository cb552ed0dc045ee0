import { posix } from 'node:path';
import type { Mount } from '../../proto/index.ts';
import { RuntimeError } from '../runtime.ts';
import type { VolumeUse } from './volume-options.ts';
import { volumeUse } from './volume-options.ts';

/** `mounts` of an OCI spec. */
export interface OciMount {
  readonly destination: string;
  readonly type: string;
  readonly source: string;
  readonly options: readonly string[];
}

/** As Docker writes it. */
const SHM_SIZE = '65536k';

export interface StandardMounts {
  /** The container has a cgroup namespace of its own. */
  readonly privateCgroup: boolean;
  /** It may write to /sys. */
  readonly privileged: boolean;
  /** Of /dev/shm; 0: Docker's 64 MiB. */
  readonly shmBytes: number;
}

/** What every container has, as with Docker. */
export function standardMounts(wishes: StandardMounts): readonly OciMount[] {
  const { privateCgroup, privileged, shmBytes } = wishes;
  const access = privileged ? 'rw' : 'ro';
  const cgroupOptions = [access, 'nosuid', 'noexec', 'nodev'];
  return [
    mount('/proc', 'proc', ['nosuid', 'noexec', 'nodev']),
    mount('/dev', 'tmpfs', ['nosuid', 'strictatime', 'mode=755', 'size=65536k']),
    mount('/dev/pts', 'devpts', [
      'nosuid',
      'noexec',
      'newinstance',
      'ptmxmode=0666',
      'mode=0620',
      'gid=5',
    ]),
    mount('/sys', 'sysfs', ['nosuid', 'noexec', 'nodev', access]),
    mount('/sys/fs/cgroup', 'cgroup', [...cgroupOptions, ...(privateCgroup ? [] : ['relatime'])]),
    mount('/dev/mqueue', 'mqueue', ['nosuid', 'noexec', 'nodev']),
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${shmBytes || SHM_SIZE}`],
    },
  ];
}

/** A file or directory of the node inside the container. */
export function bindMount(
  source: string,
  destination: string,
  options: readonly string[],
): OciMount {
  return { destination, type: 'bind', source, options: ['rbind', 'rprivate', ...options] };
}

/**
 * `volumePath`: where the node keeps a volume of this name, made already. `bind`: a place of the node, if
 * it may be had.
 */
export function userMounts(
  mounts: readonly Mount[],
  volumePath: (use: VolumeUse) => string,
  bind: (mount: Mount) => readonly OciMount[],
): readonly OciMount[] {
  const made = mounts.flatMap((each): readonly OciMount[] => {
    if (each.type === 'tmpfs') return [tmpfs(each)];
    if (each.type === 'bind') return bind(each);
    const mode = each.readOnly ? ['ro'] : ['rw'];
    return [bindMount(volumePath(volumeUse(each)), cleanTarget(each.target), mode)];
  });
  // What lies in another mount comes after it.
  return made.sort((a, b) => depth(a.destination) - depth(b.destination));
}

export function checkTarget(target: string): void {
  const path = cleanTarget(target);
  if (path === '/' || /^\/(proc|sys|dev)(\/|$)/.test(path)) {
    throw new RuntimeError('INVALID_SPEC', `nothing can be mounted over ${path}: change --mount`);
  }
}

function tmpfs({ target, options, readOnly }: Mount): OciMount {
  const known = new Set(['tmpfs-size', 'tmpfs-mode']);
  const unknown = Object.keys(options).find((key) => !known.has(key));
  if (unknown !== undefined) throw unsupported(`the option ${unknown} of a tmpfs`);
  const size = options['tmpfs-size'];
  const mode = options['tmpfs-mode'];
  if (size !== undefined && !/^\d+$/.test(size)) {
    throw new RuntimeError('INVALID_SPEC', `tmpfs-size is a number of bytes, not ${size}`);
  }
  if (mode !== undefined && !/^[0-7]{3,5}$/.test(mode)) {
    throw new RuntimeError('INVALID_SPEC', `tmpfs-mode is octal as in 1777, not ${mode}`);
  }
  return {
    destination: cleanTarget(target),
    type: 'tmpfs',
    source: 'tmpfs',
    options: [
      'nosuid',
      'nodev',
      'noexec',
      ...(size === undefined ? [] : [`size=${size}`]),
      ...(mode === undefined ? [] : [`mode=${mode}`]),
      ...(readOnly ? ['ro'] : []),
    ],
  };
}

function unsupported(what: string): RuntimeError {
  return new RuntimeError('UNSUPPORTED', `this release has not ${what}: leave it out`);
}

function mount(destination: string, type: string, options: readonly string[]): OciMount {
  return { destination, type, source: type, options };
}

/** One spelling for each place in a container. */
export function cleanTarget(target: string): string {
  const path = posix.normalize(target);
  return path.length > 1 ? path.replace(/\/$/, '') : path;
}

function depth(path: string): number {
  return path.split('/').length;
}
