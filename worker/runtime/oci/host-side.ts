import { posix } from 'node:path';
import type { Mount } from '../../../proto/index.ts';
import type { Io } from '../../io.ts';
import { type BindPlaces, bindMounts } from '../../mounts/bind-mounts.ts';
import type { OciMount } from '../../mounts/container-mounts.ts';
import { loadedProfiles } from './apparmor.ts';
import { boundCapabilities } from './capabilities.ts';
import type { DeviceFiles } from './devices.ts';
import type { KernelKnobs } from './resources.ts';

/** What a container's spec has to know of its machine. */
export interface HostSide {
  /** As uname has it. */
  readonly kernel: string;
  /** It runs programs of x32. */
  readonly x32: boolean;
  readonly knobs: KernelKnobs;
  /** What root itself has here, without CAP_. */
  readonly capabilities: readonly string[];
  /** Profiles of AppArmor that are loaded. */
  readonly apparmor: ReadonlySet<string>;
  readonly files: DeviceFiles;
  /** Throws RuntimeError where it may not, or can't, be bound. */
  bind(mount: Mount, hostAccess: boolean): readonly OciMount[];
}

/** Looked at for each container anew: profiles come and go, and so do devices. */
export function hostSide(
  io: Io,
  cgroups: { readonly knobs: KernelKnobs },
  x32: boolean,
  places: Pick<BindPlaces, 'roots' | 'hidden'>,
): HostSide {
  // Read when it is asked for: most of it is not, of most containers.
  return {
    get kernel() {
      return text(io, '/proc/sys/kernel/osrelease');
    },
    x32,
    get knobs() {
      return cgroups.knobs;
    },
    get capabilities() {
      return boundCapabilities(text(io, '/proc/self/status'));
    },
    get apparmor() {
      return loadedProfiles(io);
    },
    files: io,
    bind(mount, hostAccess) {
      const [major = 0, minor = 0] = this.kernel.split(/[.-]/).map(Number);
      const recursiveReadOnly = major > 5 || (major === 5 && minor >= 12);
      return bindMounts(mount, { io, ...places, recursiveReadOnly }, hostAccess);
    },
  };
}

/** What no container may see: each with all that is in it. */
export function hiddenPlaces(paths: readonly string[]): readonly string[] {
  return [...new Set(paths.filter((path) => path.startsWith('/')).map((p) => posix.normalize(p)))];
}

function text(io: Io, path: string): string {
  return io.read(path)?.toString('utf8').trim() ?? '';
}
