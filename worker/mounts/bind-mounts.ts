import { posix } from 'node:path';
import type { Mount } from '../../proto/index.ts';
import { isWithin } from '../../shared/host-access.ts';
import type { Io } from '../io.ts';
import { RuntimeError } from '../runtime.ts';
import { checkTarget, cleanTarget, type OciMount } from './container-mounts.ts';

/** What of this node may be bound into containers. */
export interface BindPlaces {
  readonly io: Pick<Io, 'realPath' | 'stat' | 'mkdir'>;
  /** Offered by the node's operator to every service. */
  readonly roots: readonly string[];
  /** Keys, sockets and state of this daemon and of containerd: no container ever sees them. */
  readonly hidden: readonly string[];
  /** The kernel can make all mounts under a place read-only at once. */
  readonly recursiveReadOnly: boolean;
}

const PROPAGATIONS = ['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave'];
const RECURSIVE = ['enabled', 'disabled', 'writable', 'readonly'];
const OPTIONS = ['bind-propagation', 'bind-recursive', 'bind-create-src', 'consistency'];

/**
 * A bind, and empty places over what lies in it and is never shown. Throws RuntimeError NOT_ALLOWED or
 * INVALID_SPEC. Links are followed before it is asked whether the place is offered.
 */
export function bindMounts(
  mount: Mount,
  places: BindPlaces,
  hostAccess: boolean,
): readonly OciMount[] {
  const { source, target, options } = mount;
  checkOptions(options);
  checkTarget(target);
  const real = realSource(mount, places, hostAccess);
  const recursive = options['bind-recursive'] !== 'disabled';
  const hidden = places.hidden.flatMap((path) => places.io.realPath(path) ?? []);
  const inside = hidden.find((path) => isWithin(real, path));
  if (inside !== undefined) {
    throw notAllowed(`${source} holds keys or sockets of this node: it is never bound`);
  }
  const under = hidden.filter((path) => isWithin(path, real));
  if (under.length > 0 && !recursive) {
    const text = `${source} can not be bound with bind-recursive=disabled: ${under[0]} is in it`;
    throw notAllowed(text);
  }
  const destination = cleanTarget(target);
  const propagation = options['bind-propagation'] ?? 'rprivate';
  const how = [recursive ? 'rbind' : 'bind', propagation, ...accessOf(mount, places)];
  const covers = under.map((path) => {
    const isDirectory = places.io.stat(path)?.directory === true;
    return cover(posix.join(destination, posix.relative(real, path)), isDirectory);
  });
  return [{ destination, type: 'bind', source: real, options: how }, ...covers];
}

function realSource(
  { source, options }: Mount,
  { io, roots }: BindPlaces,
  hostAccess: boolean,
): string {
  const real = io.realPath(source) ?? missingSource(io, source);
  const offered = roots.some((root) => isWithin(real, io.realPath(root) ?? root));
  if (!offered && !hostAccess) {
    throw notAllowed(
      `${source} is not among the directories that this node offers (--bind-roots), and the ` +
        'cluster does not allow access to hosts: use a volume',
    );
  }
  if (io.stat(real) !== undefined) return real;
  if (!/^(true|1|t)?$/i.test(options['bind-create-src'] ?? 'false')) {
    throw invalid(`there is no ${source} on this node: make it, or add bind-create-src`);
  }
  io.mkdir(real);
  return real;
}

/** Where it would be if it were made: its parents may be links. */
function missingSource(io: BindPlaces['io'], source: string): string {
  for (let parent = posix.dirname(source); ; parent = posix.dirname(parent)) {
    const real = io.realPath(parent);
    if (real !== undefined) return posix.join(real, posix.relative(parent, source));
    if (parent === '/') return source;
  }
}

function accessOf({ readOnly, options }: Mount, { recursiveReadOnly }: BindPlaces) {
  if (!readOnly) return ['rw'];
  const recursive = options['bind-recursive'] ?? 'enabled';
  if (recursive === 'readonly' && !recursiveReadOnly) {
    throw invalid("bind-recursive=readonly needs a newer kernel than this node's: leave it out");
  }
  const all = recursiveReadOnly && (recursive === 'enabled' || recursive === 'readonly');
  return all ? ['ro', 'rro'] : ['ro'];
}

function cover(destination: string, isDirectory: boolean): OciMount {
  if (!isDirectory) {
    return { destination, type: 'bind', source: '/dev/null', options: ['bind', 'rprivate', 'ro'] };
  }
  const options = ['nosuid', 'nodev', 'noexec', 'ro', 'size=4k', 'mode=000'];
  return { destination, type: 'tmpfs', source: 'tmpfs', options };
}

function checkOptions(options: Mount['options']): void {
  const unknown = Object.keys(options).find((key) => !OPTIONS.includes(key));
  if (unknown !== undefined) throw invalid(`${unknown} is no option of a bind`);
  const propagation = options['bind-propagation'] ?? 'rprivate';
  if (!PROPAGATIONS.includes(propagation)) {
    throw invalid(`bind-propagation is one of ${PROPAGATIONS.join(', ')}, not ${propagation}`);
  }
  const recursive = options['bind-recursive'] ?? 'enabled';
  if (!RECURSIVE.includes(recursive)) {
    throw invalid(`bind-recursive is one of ${RECURSIVE.join(', ')}, not ${recursive}`);
  }
}

function notAllowed(text: string): RuntimeError {
  return new RuntimeError('NOT_ALLOWED', text);
}
function invalid(text: string): RuntimeError {
  return new RuntimeError('INVALID_SPEC', text);
}
