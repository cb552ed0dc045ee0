import type { ServiceSpec } from '../../proto/index.ts';
import { isWithin } from '../../shared/host-access.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { View } from '../store/view.ts';

/** The cluster lets services have what makes them root on a node. */
export function allowsHostAccess(view: View): boolean {
  return view.table('cluster').get(CLUSTER_KEY)?.spec?.allowHostAccess === true;
}

/** Places of their nodes that tasks bind, as the spec has them: with placeholders. */
export function bindSources(spec: ServiceSpec): readonly string[] {
  const mounts = spec.task?.container?.mounts ?? [];
  return mounts.filter(({ type }) => type === 'bind').map(({ source }) => source);
}

/** Those of `sources` that a node has to offer (`--bind-roots`) to run such tasks. */
export function bindsToOffer(view: View, sources: readonly string[]): readonly string[] {
  return sources.length === 0 || allowsHostAccess(view) ? [] : sources;
}

/** The first of them that is in no root of a node. Where links lead is known to the node alone. */
export function missingBind(
  roots: readonly string[],
  sources: readonly string[],
): string | undefined {
  return sources.find((source) => !roots.some((root) => isWithin(source, root)));
}
