import type { View } from '../../store/view.ts';
import { NodeIndex } from '../node-index.ts';
import { type Reason, reason, unpackReason } from '../reason.ts';
import { Specs } from '../specs.ts';
import { isAssigned } from '../task-facts.ts';
import { busyBecause, clashingPort, unfitBecause } from './filters.ts';
import { summarize } from './verdicts.ts';

export interface NodeVerdict {
  readonly nodeId: string;
  readonly name: string;
  /** Empty: the node fits. */
  readonly verdict: string;
}

export interface Explanation {
  readonly reason: Reason;
  /** In order of names. */
  readonly nodes: readonly NodeVerdict[];
}

/**
 * Runs the filters again for one task, node by node. Works on any manager, from its rows alone; its
 * cost is that of a look at every task, so it is for people who ask and not for loops.
 */
export function explain(view: View, taskId: string): Explanation {
  const task = view.table('task').get(taskId);
  if (task === undefined) return { reason: reason('unknown', 'no such task'), nodes: [] };
  const specs = new Specs();
  const facts = specs.find(view, task.serviceId, task.revision);
  if (facts === undefined) return { reason: reason('unknown', 'its revision is gone'), nodes: [] };
  const index = NodeIndex.of(view, specs);
  const spread = index.spreadOf(task.serviceId);
  const nodes: NodeVerdict[] = [];
  for (const record of index.records) {
    if (record.node === undefined) continue;
    if (task.slot === 0 && task.nodeId !== '' && task.nodeId !== record.id) continue;
    const own =
      (spread.get(record.at) ?? 0) - Number(isAssigned(task) && task.nodeId === record.id);
    const verdict = unfitBecause(record, facts) || busyBecause(record, facts, own);
    nodes.push({ nodeId: record.id, name: record.node.name, verdict });
  }
  nodes.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { reason: reasonOf(view, task.pendingReason, facts, nodes), nodes };
}

function reasonOf(
  view: View,
  pending: string,
  facts: Parameters<typeof clashingPort>[1],
  nodes: readonly NodeVerdict[],
): Reason {
  const kept = unpackReason(pending);
  if (kept !== undefined) return kept;
  const clash = clashingPort(view, facts);
  if (clash !== undefined)
    return reason('port-taken', `port ${clash} is published on every node by another service`);
  if (nodes.some((node) => node.verdict === '')) return reason('unknown', 'a node fits');
  return summarize(nodes.map((node) => node.verdict));
}
