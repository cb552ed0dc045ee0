import type { View } from '../../store/view.ts';
import { lacks, type NetworkNeeds } from '../addressing/needs.ts';
import { missingBind } from '../binds.ts';
import { meets } from '../constraint.ts';
import type { NodeIndex, NodeRecord } from '../node-index.ts';
import { keptFrom } from '../node-wishes.ts';
import { wrongPlatform } from '../platform.ts';
import { ingressOwner } from '../published.ts';
import type { RevisionFacts } from '../specs.ts';
import type { Homes } from '../volumes.ts';

export type FilterCode =
  | 'availability'
  | 'runtime'
  | 'platform'
  | 'network'
  | 'constraint'
  | 'resources'
  | 'host-port'
  | 'max-replicas'
  | 'volume'
  | 'bind';

/** Why a node does not take a task: a few words that read well after "2 nodes: ". */
export interface Verdict {
  readonly code: FilterCode;
  readonly text: string;
}

/** The filters, in Docker's order: first what a node is. Undefined: it fits. */
export function unfitBecause(
  record: NodeRecord,
  facts: RevisionFacts,
  needs: NetworkNeeds,
): Verdict | undefined {
  if (record.blocked !== '') return { code: 'availability', text: record.blocked };
  const runtimes = record.status?.description?.runtimes ?? [];
  if (!runtimes.includes(facts.runtime))
    return facts.runtime === 'process' ? NO_PROCESS_RUNTIME : NO_IMAGE_RUNTIME;
  const kept = keptFrom(facts.runtime, record.node);
  if (kept !== '') return { code: 'runtime', text: kept };
  const wrong = wrongPlatform(facts.platforms, record.status?.description);
  if (wrong !== '') return { code: 'platform', text: wrong };
  const lacking = lacks(record.status, needs);
  if (lacking !== '') return { code: 'network', text: lacking };
  for (const constraint of facts.constraints)
    if (record.node === undefined || !meets(constraint, record.node, record.status))
      return { code: 'constraint', text: `constraint ${constraint.text} not met` };
  return undefined;
}

export const NO_IMAGE_RUNTIME: Verdict = { code: 'runtime', text: 'no runtime for images' };
const NO_PROCESS_RUNTIME: Verdict = {
  code: 'runtime',
  text: 'no runtime for processes (--allow-process)',
};

/** Then what runs there already. `ownTasks`: how many of this service. */
export function busyBecause(
  record: NodeRecord,
  facts: RevisionFacts,
  ownTasks: number,
): Verdict | undefined {
  const { nanoCpus, memoryBytes, generic, hostPorts, maxPerNode } = facts;
  const has = record.status?.description?.resources;
  if (nanoCpus > 0 && record.nanoCpus + nanoCpus > (has?.nanoCpus ?? 0)) return tooLittle('CPU');
  if (memoryBytes > 0 && record.memoryBytes + memoryBytes > (has?.memoryBytes ?? 0))
    return tooLittle('memory');
  for (const [kind, count] of generic)
    if ((record.generic.get(kind) ?? 0) + count > (has?.generic[kind] ?? 0)) return tooLittle(kind);
  for (const port of hostPorts)
    if (record.hostPorts.has(port))
      return { code: 'host-port', text: `host port ${portName(port)} in use` };
  if (maxPerNode > 0 && ownTasks >= maxPerNode)
    return {
      code: 'max-replicas',
      text: `has its ${maxPerNode} of this service (--replicas-max-per-node)`,
    };
  return undefined;
}

/** What of a task's files is on some nodes alone. */
export interface Places {
  readonly homes: Homes;
  /** `bindsToOffer` of its revision. */
  readonly binds: readonly string[];
}

/** And where its files are. */
export function awayBecause(record: NodeRecord, { homes, binds }: Places): Verdict | undefined {
  if (homes !== undefined && !homes.nodes.has(record.id))
    return { code: 'volume', text: homes.text };
  const missing = missingBind(record.status?.description?.bindRoots ?? [], binds);
  if (missing === undefined) return undefined;
  return { code: 'bind', text: `does not offer ${missing} (--bind-roots)` };
}

function tooLittle(what: string): Verdict {
  return { code: 'resources', text: `too little ${what} free` };
}

/** A host port that a service publishes on every node can be had on none. */
export function clashingPort(view: View, facts: RevisionFacts): string | undefined {
  const key = facts.hostPorts.find((port) => ingressOwner(view, port, '') !== undefined);
  return key === undefined ? undefined : portName(key);
}

export function portName(key: string): string {
  const [protocol, port] = key.split('/');
  return `${port}/${protocol === '1' ? 'udp' : 'tcp'}`;
}

/** Nodes that fit revisions with this `fitKey`, load aside; kept while no node changes. */
export class FittingNodes {
  readonly #index: NodeIndex;
  readonly #lists = new Map<string, readonly NodeRecord[]>();
  #epoch = -1;

  constructor(index: NodeIndex) {
    this.#index = index;
  }
  get(facts: RevisionFacts, needs: NetworkNeeds): readonly NodeRecord[] {
    if (this.#epoch !== this.#index.epoch || this.#lists.size > LISTS_MAX) {
      this.#lists.clear();
      this.#epoch = this.#index.epoch;
    }
    const key = fitKey(facts, needs);
    let list = this.#lists.get(key);
    if (list === undefined) {
      list = this.#index.records.filter(
        (record) => unfitBecause(record, facts, needs) === undefined,
      );
      this.#lists.set(key, list);
    }
    return list;
  }
}

const LISTS_MAX = 64;

/** Revisions and needs with equal keys fit the same nodes. */
export function fitKey(facts: RevisionFacts, needs: NetworkNeeds): string {
  return needs === '' ? facts.nodeKey : `${needs}\n${facts.nodeKey}`;
}
