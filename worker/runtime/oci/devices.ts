import { posix } from 'node:path';
import type { Device } from '../../../proto/index.ts';
import type { Io } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';

/** A device of the node as it is in a container, with what may be done with it. */
export interface OciDevice {
  readonly path: string;
  readonly type: 'c' | 'b';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
  /** Out of r, w, m. */
  readonly access: string;
}

/** The devices of a node: what `Io` says of them. */
export type DeviceFiles = Pick<Io, 'node' | 'realPath' | 'list'>;

const DEV = '/dev';
const DEPTH_MAX = 8;
/** What each container has of its own. */
const OWN = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', 'core', 'stdin', 'stdout', 'stderr']);

/**
 * What a service asks for, as this node has it: of a directory all devices in it. Throws RuntimeError
 * INVALID_SPEC where there is none.
 */
export function askedDevices(files: DeviceFiles, asked: readonly Device[]): readonly OciDevice[] {
  return asked.flatMap(({ host, target, permissions }) => {
    const real = files.realPath(host) ?? host;
    const found = devicesAt(files, real, target || host, permissions || 'rwm', 0);
    if (found.length > 0) return found;
    throw new RuntimeError('INVALID_SPEC', `this node has no device ${host}: change --device`);
  });
}

/** What a privileged container has: all. */
export function allDevices(files: DeviceFiles): readonly OciDevice[] {
  const names = files.list(DEV).filter((name) => !OWN.has(name) && !name.startsWith('.'));
  return names.flatMap((name) => {
    const path = posix.join(DEV, name);
    return devicesAt(files, path, path, 'rwm', 0);
  });
}

function devicesAt(
  files: DeviceFiles,
  host: string,
  target: string,
  access: string,
  depth: number,
): readonly OciDevice[] {
  const node = files.node(host);
  if (node?.kind === 'c' || node?.kind === 'b') {
    const { kind, major, minor, mode, uid, gid } = node;
    return [{ path: target, type: kind, major, minor, fileMode: mode & 0o777, uid, gid, access }];
  }
  // Links lead to devices that are found under their own names.
  if (node?.kind !== 'd' || depth >= DEPTH_MAX) return [];
  return files
    .list(host)
    .flatMap((name) =>
      devicesAt(files, posix.join(host, name), posix.join(target, name), access, depth + 1),
    );
}
