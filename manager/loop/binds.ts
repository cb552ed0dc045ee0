import type { ServiceSpec } from '../../proto/index.ts';
import { isWithin } from '../../shared/host-access.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { View } from '../store/view.ts';
import type { NodeRecord } from './node-index.ts';
import type { RevisionFacts } from './specs.ts';

/** The cluster lets services have what makes them root on a node. */
export function allowsHostAccess(view: View): boolean {
  return view.table('cluster').get(CLUSTER_KEY)?.spec?.allowHostAccess === true;
}

/** Places of their nodes that tasks bind, as the spec has them: with placeholders. */
export function bindSources(spec: ServiceSpec): readonly string[] {
  const mounts = spec.task?.container?.mounts ?? [];
  return mounts.filter(({ type }) => type === 'bind').map(({ source }) => source);
}

/** Those that a node has to offer (`--bind-roots`) to run such tasks. */
export function bindsToOffer(view: View, facts: RevisionFacts): readonly string[] {
  return facts.binds.length === 0 || allowsHostAccess(view) ? [] : facts.binds;
}

/** The first of them that the node does not offer. Where links lead is known to the node alone. */
export function missingBind(record: NodeRecord, binds: readonly string[]): string | undefined {
  const roots = record.status?.description?.bindRoots ?? [];
  return binds.find((source) => !roots.some((root) => isWithin(source, root)));
}
