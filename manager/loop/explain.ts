import type { View } from '../store/view.ts';
import { needsOf } from './addressing/needs.ts';
import { bindsToOffer } from './binds.ts';
import { NodeIndex } from './node-index.ts';
import {
  awayBecause,
  busyBecause,
  clashingPort,
  type FilterCode,
  unfitBecause,
} from './scheduler/filters.ts';
import { Specs } from './specs.ts';
import { isAssigned, isWanted } from './task-facts.ts';
import { homesOf, tyingVolumes } from './volumes.ts';

/** One filter's word about one node. */
export interface NodeVerdict {
  readonly nodeId: string;
  readonly fits: boolean;
  /** Empty: it fits. */
  readonly code: FilterCode | '';
  readonly text: string;
}

/**
 * Runs the scheduler's filters again for one task, node by node, in order of node names. Works on
 * any manager, from its rows alone: without `known`, what nodes have left as of `view`, it looks at
 * every task, for which a leader with a million of them has no time.
 */
export function explain(view: View, taskId: string, known?: NodeIndex): NodeVerdict[] {
  const task = view.table('task').get(taskId);
  if (task === undefined) return [];
  const specs = new Specs();
  const facts = specs.find(view, task.serviceId, task.revision);
  if (facts === undefined) return [];
  const index = known ?? NodeIndex.of(view, specs);
  const spread = index.spreadOf(task.serviceId);
  const needs = needsOf(view, facts.networks);
  const clash = clashingPort(view, facts);
  const pinnedTo = task.slot === 0 ? task.nodeId : '';
  const self = isAssigned(task) && isWanted(task) ? task.nodeId : '';
  const names = tyingVolumes(facts.spec, facts.volumes, task.serviceId, task.slot);
  const places = { homes: homesOf(view, names), binds: bindsToOffer(view, facts.binds) };
  const records = index.records.filter(
    (record) => record.node !== undefined && (pinnedTo === '' || pinnedTo === record.id),
  );
  records.sort((a, b) => (a.node!.name < b.node!.name ? -1 : 1));
  return records.map((record) => {
    const own = (spread.get(record.at) ?? 0) - Number(self === record.id);
    const verdict =
      unfitBecause(record, facts, needs) ??
      awayBecause(record, places) ??
      (clash === undefined
        ? busyBecause(record, facts, own)
        : { code: 'host-port' as const, text: `port ${clash} is published on every node` });
    const { code, text } = verdict ?? { code: '' as const, text: '' };
    return { nodeId: record.id, fits: verdict === undefined, code, text };
  });
}
