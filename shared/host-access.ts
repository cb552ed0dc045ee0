import { posix } from 'node:path';
import type { ContainerSpec, Mount } from '../proto/index.ts';

/** What Docker gives every container, without CAP_. */
const ORDINARY = new Set(
  (
    'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP ' +
    'SETGID SETPCAP SETUID SYS_CHROOT'
  ).split(' '),
);
/** Profiles that let through what Docker lets through. */
const ORDINARY_APPARMOR = ['', 'docker-default'];

export interface HostAccess {
  /** Of the spec, for the error. */
  readonly field: string;
  /** Reads well before "makes a container root on its host". */
  readonly what: string;
}

/**
 * The first wish of a container that makes it root on its host, or may; undefined: there is none.
 * `networks`: those of its task. `isOffered`: the operator of a node lets services bind this directory.
 */
export function hostAccessOf(
  spec: ContainerSpec,
  isOffered: (source: string) => boolean,
  networks: readonly { readonly target: string }[] = [],
): HostAccess | undefined {
  if (networks.some(({ target }) => target === 'host'))
    return { field: 'networks', what: "the host's network" };
  if (spec.privileged) return { field: 'privileged', what: '--privileged' };
  const beyond = spec.capabilityAdd.find(
    (name) => !ORDINARY.has(name.toUpperCase().replace(/^CAP_/, '')),
  );
  if (beyond !== undefined) return { field: 'capabilities', what: `the capability ${beyond}` };
  const [device] = spec.devices;
  if (device !== undefined) return { field: 'devices', what: `the device ${device.host}` };
  if (spec.seccomp !== '') return { field: 'seccomp', what: seccompText(spec.seccomp) };
  if (!ORDINARY_APPARMOR.includes(spec.apparmor))
    return { field: 'apparmor', what: `the AppArmor profile ${spec.apparmor}` };
  const mount = spec.mounts.find((each) => reaches(each, isOffered));
  return mount === undefined ? undefined : { field: 'mounts', what: mountText(mount) };
}

/** Of a container's own namespaces; all other sysctls are the whole node's. */
const OWN_SYSCTLS = /^(net\.|kernel\.(msg|shm)|kernel\.sem$|fs\.mqueue\.)/;
export const OWN_SYSCTLS_TEXT = 'net.*, kernel.msg*, kernel.shm*, kernel.sem, fs.mqueue.*';

export function isOwnSysctl(key: string): boolean {
  return OWN_SYSCTLS.test(key.replaceAll('/', '.'));
}

/** True when `path` is `root` or in it; both are absolute and without links. */
export function isWithin(path: string, root: string): boolean {
  const [inner, outer] = [posix.normalize(`${path}/`), posix.normalize(`${root}/`)];
  return inner.startsWith(outer);
}

function seccompText(profile: string): string {
  return profile === 'unconfined' ? 'seccomp=unconfined' : "a seccomp profile of one's own";
}

/** A bind, or a volume that is one by the options of its driver. */
function reaches({ type, source, options }: Mount, isOffered: (path: string) => boolean): boolean {
  if (type === 'bind') return !isOffered(source);
  const device = options['volume-opt:device'] ?? '';
  return type === 'volume' && device.startsWith('/') && !isOffered(device);
}

function mountText({ source, options }: Mount): string {
  return `binding ${options['volume-opt:device'] ?? source}`;
}
