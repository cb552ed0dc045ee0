import { revisionKey } from '../store/schema.ts';
import type { View } from '../store/view.ts';

/** What the running revision asks for: a wish that was rolled back does not count. */
export function hasClientAffinity(view: View, serviceId: string): boolean {
  const revision = view.table('serviceState').get(serviceId)?.runningRevision ?? 0;
  const row = view.table('serviceRevision').get(revisionKey(serviceId, revision));
  const spec = row?.spec ?? view.table('service').get(serviceId)?.spec;
  return spec?.endpoint?.clientAffinity ?? false;
}
