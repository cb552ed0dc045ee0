import {
  type NetworkAttachmentSpec,
  type Node,
  type NodeStatus,
  type RaftStatus,
  Role,
  ServiceMode,
  type ServiceSpec,
  type TaskSpec,
  TaskState,
} from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { lacks, type NetworkNeeds, needsOf } from '../loop/addressing/needs.ts';
import { NODE_LOCAL } from '../loop/addressing/predefined.ts';
import { type Constraint, meets } from '../loop/constraint.ts';
import { keptFrom } from '../loop/node-wishes.ts';
import { runtimeOf } from '../loop/specs.ts';
import type { View } from '../store/view.ts';
import {
  heldValue,
  isKnownKey,
  labelKeysLike,
  strictConstraint,
  suggestKey,
} from './constraint.ts';
import { nearest } from './nearest.ts';

/** A node that has told what it is. */
export interface KnownNode {
  readonly node: Node;
  readonly status: NodeStatus;
}

export function knownNodes(view: View): KnownNode[] {
  const known: KnownNode[] = [];
  for (const node of view.table('node').all()) {
    const status = view.table('nodeStatus').get(node.id);
    if (status?.description && !node.removing) known.push({ node, status });
  }
  return known.sort((a, b) => (a.node.name < b.node.name ? -1 : 1));
}

/** What was accepted and will yet not do what the user means. */
export function serviceWarnings(view: View, spec: ServiceSpec): string[] {
  const nodes = knownNodes(view);
  const warnings: string[] = [];
  for (const text of spec.task?.placement?.constraints ?? []) {
    const doubt = doubtAbout(text, nodes);
    if (doubt !== undefined) warnings.push(`constraint "${text}": ${doubt.text}`);
  }
  if (nodes.length === 0 || spec.task === null) return warnings;
  if (!nodes.some((known) => offersRuntime(known, spec.task!)))
    warnings.push(noRuntimeText(nodes, spec.task));
  const needs = needsOf(view, clusterNetworks(spec.task));
  if (needs !== '' && nodes.every(({ status }) => lacks(status, needs) !== ''))
    warnings.push(noNetworkText(needs));
  const reserved = tooLarge(spec.task, nodes);
  if (reserved !== undefined) warnings.push(reserved);
  const perNode = spec.task.placement?.maxReplicasPerNode ?? 0;
  if (spec.mode === ServiceMode.REPLICATED && perNode > 0 && perNode * nodes.length < spec.replicas)
    warnings.push(
      `at most ${perNode * nodes.length} of ${spec.replicas} replicas can run: ` +
        `${perNode} on each of ${nodes.length} nodes`,
    );
  return warnings;
}

/** What tasks that run have to do without, with the names of the nodes: the same words once. */
export function shortages(view: View, serviceId: string): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>();
  for (const task of view.table('task').by('service', serviceId)) {
    const status = view.table('taskStatus').get(task.id);
    if (status?.state !== TaskState.RUNNING || status.warning === '') continue;
    const nodes = found.get(status.warning) ?? new Set<string>();
    found.set(status.warning, nodes.add(view.table('node').get(task.nodeId)?.name ?? task.nodeId));
  }
  return new Map([...found].map(([words, nodes]) => [words, [...nodes].sort()]));
}

/** "n1, n2 and 3 more". */
export function someOf(names: readonly string[]): string {
  const max = LIMITS.candidatesShownMax;
  const more = names.length > max ? ` and ${names.length - max} more` : '';
  return `${names.slice(0, max).join(', ')}${more}`;
}

export interface Doubt {
  readonly text: string;
  /** What was meant, as a constraint; empty when there is no guess. */
  readonly suggestion: string;
  /** An unknown key or label, or a value very near to a known one. */
  readonly typo: boolean;
}

/** Why a constraint matches no node; undefined when it matches one, or no node is known. */
export function doubtAbout(text: string, nodes: readonly KnownNode[]): Doubt | undefined {
  const wish = strictConstraint(text);
  if (wish === undefined) return undefined;
  if (!isKnownKey(wish.key)) return unknownKey(wish);
  if (nodes.length === 0) return undefined;
  if (nodes.some(({ node, status }) => meets(wish, node, status))) return undefined;
  if (!wish.equal)
    return { text: `every node has ${wish.key}=${wish.value}`, suggestion: '', typo: false };
  return unknownLabel(wish, nodes) ?? unknownValue(wish, nodes);
}

function unknownKey(wish: Constraint): Doubt {
  const near = suggestKey(wish.key);
  const suggestion = near === undefined ? '' : rewritten(wish, near, wish.value);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return {
    text: `the key ${wish.key} is unknown and never matches${hint}`,
    suggestion,
    typo: true,
  };
}

function unknownLabel(wish: Constraint, nodes: readonly KnownNode[]): Doubt | undefined {
  if (!/^(node|engine)\.labels\./.test(wish.key)) return undefined;
  const keys = new Set(nodes.flatMap(({ node, status }) => labelKeysLike(wish.key, node, status)));
  if (keys.has(wish.key)) return undefined;
  const near = nearest(wish.key, keys);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return {
    text: `no node has the label ${wish.key.replace(/^\w+\.labels\./, '')}${hint}`,
    suggestion: near === undefined ? '' : rewritten(wish, near, wish.value),
    typo: true,
  };
}

function unknownValue(wish: Constraint, nodes: readonly KnownNode[]): Doubt {
  const held = nodes.map(({ node, status }) => heldValue(node, status, wish.key));
  const values = [...new Set(held.filter((value) => value !== ''))].sort();
  const near = nearest(wish.value, values);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  const known = values.slice(0, 10).join(', ');
  return {
    text: `no node has ${wish.key}=${wish.value} (there is ${known})${hint}`,
    suggestion: near === undefined ? '' : rewritten(wish, wish.key, near),
    typo: near !== undefined,
  };
}

function rewritten(wish: Constraint, key: string, value: string): string {
  return `${key}${wish.equal ? '==' : '!='}${value}`;
}

/** It has what the task runs on, and its users have chosen no other. */
export function offersRuntime({ node, status }: KnownNode, task: TaskSpec): boolean {
  return hasRuntime(status, task) && keptFrom(runtimeOf(task), node) === '';
}

function hasRuntime(status: NodeStatus, task: TaskSpec): boolean {
  return status.description?.runtimes.includes(runtimeOf(task)) === true;
}

/** Nodes that could run the task, were they not set to run others (`--runtime`). */
export function keptNodes(nodes: readonly KnownNode[], task: TaskSpec): readonly KnownNode[] {
  return nodes.filter((known) => hasRuntime(known.status, task) && !offersRuntime(known, task));
}

export function noRuntimeText(nodes: readonly KnownNode[], task: TaskSpec): string {
  const kept = keptNodes(nodes, task);
  if (kept.length > 0) {
    const others = task.container !== null ? 'processes' : 'containers';
    const names = someOf(kept.map(({ node }) => node.name));
    return `${names} ${kept.length === 1 ? 'is' : 'are'} set to run ${others} alone (--runtime)`;
  }
  return task.container !== null
    ? 'no node has a runtime for images'
    : 'no node runs commands of the host (--process)';
}

/** Networks of a task that are not of its node alone. */
export function clusterNetworks(task: TaskSpec): readonly NetworkAttachmentSpec[] {
  return task.networks.filter(({ target }) => !NODE_LOCAL.has(target));
}

export function noNetworkText(needs: NetworkNeeds): string {
  const kinds = [
    ...(needs.includes('encrypted') ? ['encrypted networks (WireGuard)'] : []),
    ...(needs.includes('ipv6') ? ['IPv6'] : []),
  ];
  return `no node can carry ${kinds.join(' and ') || 'overlay networks'}`;
}

function tooLarge(task: TaskSpec, nodes: readonly KnownNode[]): string | undefined {
  const wanted = task.reservations;
  if (wanted === null) return undefined;
  const fits = nodes.some(({ status }) => {
    const has = status.description?.resources;
    if (!has) return true;
    return wanted.memoryBytes <= has.memoryBytes && wanted.nanoCpus <= has.nanoCpus;
  });
  return fits ? undefined : 'no node is large enough for what each task reserves';
}

/** About the managers as a whole. */
export function managerWarnings(view: View, raft: RaftStatus): string[] {
  const managers = [...view.table('node').all()].filter((node) => node.role === Role.MANAGER);
  const count = managers.length;
  const warnings: string[] = [];
  if (count > 0 && count % 2 === 0)
    warnings.push(
      `${count} managers survive no more losses than ${count - 1} would: ` +
        'an odd number is better (swarm node promote, swarm node demote)',
    );
  if (count > 7) warnings.push(`${count} managers make every write slower: 3, 5 or 7 are enough`);
  const damaged = [...view.table('member').all()].filter((member) => member.damage !== '');
  for (const { id, damage } of damaged) {
    const name = view.table('node').get(id)?.name ?? id;
    warnings.push(
      `the state of ${name} is damaged (${damage}): it does not vote and joins the managers anew`,
    );
  }
  // A follower hears only the leader, so it cannot tell who of the others is silent.
  const knows = raft.leader === 0 || raft.leader === raft.raftId;
  const silent = raft.members.filter(
    (member) =>
      member.role !== 'learner' &&
      !member.active &&
      member.raftId !== raft.raftId &&
      !damaged.some(({ id }) => id === member.nodeId),
  );
  if (knows && silent.length > 0)
    warnings.push(
      `managers that do not answer: ${silent.map((member) => member.nodeName || member.nodeId).join(', ')}`,
    );
  return warnings;
}
