import type { ServiceSpec } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { type HostAccess, hostAccessOf, isWithin } from '../../shared/host-access.ts';
import { allowsHostAccess } from '../loop/binds.ts';
import type { View } from '../store/view.ts';

/** Throws FORBIDDEN for what makes a container root on its host, unless the cluster allows it. */
export function refuseHostAccess(view: View, spec: ServiceSpec): void {
  const container = spec.task?.container ?? null;
  if (container === null || allowsHostAccess(view)) return;
  const access = hostAccessOf(container, (source) => isOffered(view, source), spec.task?.networks);
  if (access !== undefined) throw forbidden(access);
}

/** Throws FORBIDDEN for a command with every right, unless the cluster allows it. */
export function refusePrivilegedExec(view: View): void {
  if (!allowsHostAccess(view)) throw forbidden({ field: 'privileged', what: '--privileged' });
}

/** Which nodes offer it is looked at anew where the task runs. */
function isOffered(view: View, source: string): boolean {
  for (const { description } of view.table('nodeStatus').all())
    if (description?.bindRoots.some((root) => isWithin(source, root))) return true;
  return false;
}

function forbidden({ field, what }: HostAccess): SwarmError {
  const offer =
    field === 'mounts' ? ', use a volume, offer the directory (--bind-roots of swarmd)' : '';
  return new SwarmError('FORBIDDEN', `${what} makes a container root on its host`, {
    advice: `Leave it out${offer}, or let the cluster allow access to hosts.`,
    command: 'swarm cluster update --allow-host-access',
    details: { field },
  });
}
