import type { ServiceSpec } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { View } from '../store/view.ts';

/** What Docker gives every container. */
const ORDINARY = new Set(
  (
    'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP ' +
    'SETGID SETPCAP SETUID SYS_CHROOT'
  ).split(' '),
);

/** Throws FORBIDDEN for what makes a container root on its host, unless the cluster allows it. */
export function refuseHostAccess(view: View, spec: ServiceSpec): void {
  if (view.table('cluster').get(CLUSTER_KEY)?.spec?.allowHostAccess === true) return;
  const added = spec.task?.container?.capabilityAdd ?? [];
  const beyond = added.find((name) => !ORDINARY.has(name.toUpperCase().replace(/^CAP_/, '')));
  if (beyond === undefined) return;
  throw new SwarmError('FORBIDDEN', `the capability ${beyond} makes a container root on its host`, {
    advice: 'Leave it out, or let the cluster allow access to hosts.',
    command: 'swarm cluster update --allow-host-access',
    details: { field: 'capabilities' },
  });
}
