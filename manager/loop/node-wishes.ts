import type { Node, NodeStatus } from '../../proto/index.ts';
import { meets } from './constraint.ts';
import type { RevisionFacts } from './specs.ts';

const WHAT: { readonly [runtime: string]: string } = {
  process: 'processes',
  containerd: 'containers',
};

/** Words for people where users chose another runtime for the node; empty: it may run such tasks. */
export function keptFrom(runtime: string, node: Node | undefined): string {
  if (node === undefined || node.runtime === '' || node.runtime === runtime) return '';
  return `runs ${WHAT[node.runtime] ?? node.runtime} alone (--runtime ${node.runtime})`;
}

/**
 * What users wish of the node or the service that keeps its tasks from a node, in words after its
 * name; undefined: nothing. They also leave it, as with a node that is drained.
 */
export function unmetWish(
  facts: Pick<RevisionFacts, 'constraints' | 'runtime'>,
  node: Node,
  status: NodeStatus | undefined,
): string | undefined {
  const unmet = facts.constraints.find((constraint) => !meets(constraint, node, status));
  if (unmet !== undefined) return `no longer meets ${unmet.text}`;
  return keptFrom(facts.runtime, node) || undefined;
}
