import { type Task, TaskState } from '../../../proto/index.ts';
import { attach, networkReason } from '../addressing/attach.ts';
import { type NetworkNeeds, needsOf } from '../addressing/needs.ts';
import { bindsToOffer } from '../binds.ts';
import type { NodeRecord } from '../node-index.ts';
import { groupKey } from '../node-index.ts';
import { missingPort } from '../published.ts';
import { packReason, type Reason, type ReasonCode, reason } from '../reason.ts';
import type { RevisionFacts } from '../specs.ts';
import { type Entry, isAssigned, isWanted } from '../task-facts.ts';
import { PoisonedService, type Turn } from '../turn.ts';
import { type Homes, homesOf, tyingVolumes } from '../volumes.ts';
import { bestOf, LoadHeap, NodeHeap, scoreOf } from './choose.ts';
import {
  awayBecause,
  busyBecause,
  clashingPort,
  type FittingNodes,
  fitKey,
  type Places,
  portName,
  unfitBecause,
  type Verdict,
} from './filters.ts';
import { SpreadTree } from './spread.ts';
import { summarize } from './verdicts.ts';

/** Stage 4: a node for every task that waits for one, or the reason why there is none. */
export function schedulerStage(turn: Turn, fitting: FittingNodes): void {
  const groups = new Map<string, Entry[]>();
  for (const entry of turn.fresh) addTo(groups, entry);
  const fresh = new Set(groups.keys());
  collectPending(turn, groups);
  const placing: Placing = { turn, fitting, heaps: new Map() };
  for (const [key, entries] of groups) {
    const { serviceId } = entries[0]!.task;
    if (!fresh.has(key) && turn.isFull()) {
      turn.left.groups.add(key);
      continue;
    }
    if (turn.state(serviceId)?.quarantine) continue;
    try {
      placeGroup(placing, entries);
    } catch (error) {
      throw new PoisonedService(serviceId, error);
    }
  }
}

interface Placing {
  readonly turn: Turn;
  readonly fitting: FittingNodes;
  /** `fitKey` -> nodes by load, for single tasks of services that have none yet. */
  readonly heaps: Map<string, LoadHeap>;
}

function collectPending(turn: Turn, groups: Map<string, Entry[]>): void {
  const { placement, groups: some } = turn.dirty;
  if (!placement && some.size === 0) return;
  const tasks = turn.draft.table('task');
  for (const [key, ids] of turn.index.pendingGroups()) {
    if (!placement && !some.has(key)) continue;
    for (const id of ids) {
      const task = tasks.get(id);
      if (task !== undefined && isWanted(task) && !isAssigned(task))
        addTo(groups, turn.entry(task));
    }
  }
}

function addTo(groups: Map<string, Entry[]>, entry: Entry): void {
  const key = groupKey(entry.task);
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [entry]);
  else group.push(entry);
}

/** Tasks of one revision: they fit the same nodes. */
function placeGroup(placing: Placing, entries: readonly Entry[]): void {
  const { turn } = placing;
  const { serviceId, revision } = entries[0]!.task;
  const facts = turn.specs.get(turn.draft, serviceId, revision);
  const blocked = portReason(turn, facts) ?? networkReason(turn, facts);
  if (blocked !== undefined) {
    if (!entries.some((entry) => codeOf(entry) === blocked.code)) tellPending(turn, facts, blocked);
    for (const entry of entries) setPending(turn, entry, blocked);
    return;
  }
  const group = {
    facts,
    needs: needsOf(turn.draft, facts.networks),
    homes: undefined,
    binds: bindsToOffer(turn.draft, facts.binds),
  };
  const pinned = entries.filter((entry) => entry.task.nodeId !== '');
  for (const entry of pinned) placePinned(turn, group, entry);
  const free = pinned.length === 0 ? entries : entries.filter((e) => e.task.nodeId === '');
  for (const [homes, those] of byVolumes(turn, facts, free))
    placeFree(placing, { ...group, homes }, those);
}

/** Tasks that go to different nodes, since their volumes are there, are placed one group after another. */
function byVolumes(
  turn: Turn,
  facts: RevisionFacts,
  entries: readonly Entry[],
): readonly (readonly [Homes, readonly Entry[]])[] {
  if (entries.length === 0) return [];
  if (facts.volumes.length === 0) return [[undefined, entries]];
  const groups = new Map<string, { names: readonly string[]; entries: Entry[] }>();
  for (const entry of entries) {
    const names = tyingVolumes(facts.spec, facts.volumes, facts.serviceId, entry.task.slot);
    const group = groups.get(names.join('\n')) ?? { names, entries: [] };
    group.entries.push(entry);
    groups.set(names.join('\n'), group);
  }
  return [...groups.values()].map(({ names, entries: those }) => [
    homesOf(turn.draft, names),
    those,
  ]);
}

/** What the tasks of one revision have in common. */
interface Group extends Places {
  readonly facts: RevisionFacts;
  readonly needs: NetworkNeeds;
}

function portReason(turn: Turn, facts: RevisionFacts): Reason | undefined {
  const state = turn.state(facts.serviceId);
  if (facts.ports.length > 0 && state?.runningRevision === facts.revision) {
    const missing = missingPort(state, facts);
    if (missing !== undefined)
      return reason(
        'port-taken',
        missing.published === 0
          ? 'no port of 30000-32767 is free'
          : `port ${portName(`${missing.protocol}/${missing.published}`)} is published by another service`,
      );
  }
  const clash = clashingPort(turn.draft, facts);
  if (clash === undefined) return undefined;
  return reason('port-taken', `port ${clash} is published on every node by another service`);
}

function placeFree(placing: Placing, group: Group, entries: readonly Entry[]): void {
  const { turn } = placing;
  const { facts, needs } = group;
  const isFree = (node: NodeRecord) =>
    awayBecause(node, group) === undefined &&
    busyBecause(node, facts, turn.index.spreadOf(facts.serviceId).get(node.at) ?? 0) === undefined;
  const isRefused = refusedByAll(turn, entries[0]!, () =>
    placing.fitting.get(facts, needs).filter(isFree),
  );
  const source = sourceOf(placing, group, entries, isFree);
  let none: Reason | undefined;
  const codes = new Set(entries.map((entry) => codeOf(entry)));
  for (const entry of entries) {
    if (turn.isFull()) {
      turn.left.groups.add(groupKey(entry.task));
      setPending(turn, entry, undefined);
      continue;
    }
    if (isRefused && isDelayed(turn, entry)) {
      setPending(turn, entry, refusedReason(turn, entry));
      continue;
    }
    const node = none === undefined ? source.take(isFree) : undefined;
    const obstacle = node === undefined ? undefined : assign(turn, facts, entry, node.id);
    if (node !== undefined && obstacle === undefined) continue;
    none ??= obstacle ?? whyNone(turn, group);
    setPending(turn, entry, none);
  }
  if (none !== undefined && !codes.has(none.code)) tellPending(turn, facts, none);
}

interface Source {
  take(isFree: (node: NodeRecord) => boolean): NodeRecord | undefined;
}

/** What gives nodes in order: the cheapest thing that does for this many tasks. */
function sourceOf(
  placing: Placing,
  { facts, needs }: Group,
  entries: readonly Entry[],
  isFree: (node: NodeRecord) => boolean,
): Source {
  const { turn, fitting } = placing;
  const nodes = fitting.get(facts, needs);
  const spread = turn.index.spreadOf(facts.serviceId);
  const own = (node: NodeRecord) => spread.get(node.at) ?? 0;
  const bad = turn.index.badNodes(groupKey(entries[0]!.task), turn.now);
  const score = (node: NodeRecord) => scoreOf(node.tasks, own(node), bad.has(node.id));
  if (facts.spread.length > 0) return new SpreadTree(nodes, facts.spread, own, score);
  if (entries.length > 1) return new NodeHeap(nodes, score);
  const byScan = { take: () => bestOf(nodes, score, isFree) };
  if (spread.size > 0 || bad.size > 0) return byScan;
  const key = fitKey(facts, needs);
  const heap = placing.heaps.get(key) ?? new LoadHeap(nodes);
  placing.heaps.set(key, heap);
  const least = heap.least();
  return least !== undefined && isFree(least) ? { take: () => least } : byScan;
}

function codeOf(entry: Entry): string {
  return entry.task.pendingReason.split('|', 1)[0]!;
}

/** Once for all tasks that wait for the same reason. */
function tellPending(turn: Turn, facts: RevisionFacts, why: Reason): void {
  turn.tell('service', 'pending', facts.serviceId, facts.spec.name, why.text);
}

function whyNone(turn: Turn, group: Group): Reason {
  const { facts, needs } = group;
  const spread = turn.index.spreadOf(facts.serviceId);
  const verdicts: Verdict[] = [];
  for (const record of turn.index.records) {
    if (record.node === undefined) continue;
    const verdict =
      unfitBecause(record, facts, needs) ??
      awayBecause(record, group) ??
      busyBecause(record, facts, spread.get(record.at) ?? 0);
    if (verdict !== undefined) verdicts.push(verdict);
  }
  return summarize(verdicts);
}

/** A global task has its node; it waits there until it fits. */
function placePinned(turn: Turn, group: Group, entry: Entry): void {
  const { facts, needs } = group;
  const record = turn.index.find(entry.task.nodeId);
  if (record === undefined) {
    setPending(turn, entry, reason('no-node', 'its node is not there'));
    return;
  }
  const verdict =
    unfitBecause(record, facts, needs) ??
    awayBecause(record, group) ??
    busyBecause(record, facts, 0);
  if (isDelayed(turn, entry) && refusedByAll(turn, entry, () => [record])) {
    setPending(turn, entry, refusedReason(turn, entry));
    return;
  }
  const why = verdict === undefined ? assign(turn, facts, entry, record.id) : summarize([verdict]);
  if (why !== undefined) setPending(turn, entry, why);
}

function isDelayed(turn: Turn, { task }: Entry): boolean {
  return task.desiredState === TaskState.READY && task.startAfterMs > turn.now;
}

/**
 * Where every node that fits has refused the revision, the next try has to wait for the restart
 * delay: a task that has its node already is prepared, and refused again, at once.
 */
function refusedByAll(turn: Turn, { task }: Entry, nodes: () => readonly NodeRecord[]): boolean {
  const refused = turn.index.refusedBy(groupKey(task), turn.now);
  if (refused.size === 0) return false;
  const fitting = nodes();
  return fitting.length > 0 && fitting.every((node) => refused.has(node.id));
}

function refusedReason(turn: Turn, { task }: Entry): Reason {
  const before = turn.draft.table('taskStatus').get(task.replaces);
  const said = before?.err || before?.message || 'no reason was given';
  const who = task.slot > 0 ? 'every node that fits' : 'its node';
  return reason('refused-everywhere', `${who} has refused it: ${said}`);
}

/** Undefined when it is done; else there is no address for it. */
function assign(
  turn: Turn,
  facts: RevisionFacts,
  entry: Entry,
  nodeId: string,
): Reason | undefined {
  const attachments = attach(turn, facts, nodeId);
  if ('code' in attachments) return attachments;
  // A delay that runs goes on to be the reason why it does not run yet.
  const pendingReason = isDelayed(turn, entry) ? entry.task.pendingReason : '';
  write(turn, entry, { nodeId, state: TaskState.ASSIGNED, pendingReason, attachments });
  return undefined;
}

/** What the allocator has to give before a node is looked for. */
const UNALLOCATED: ReadonlySet<ReasonCode> = new Set([
  'port-taken',
  'network-missing',
  'network-problem',
  'addresses-used-up',
]);

/** `why` undefined: the turn had no time for it. */
function setPending(turn: Turn, entry: Entry, why: Reason | undefined): void {
  const isNew = turn.fresh.has(entry);
  const pendingReason = why === undefined ? entry.task.pendingReason : packReason(why);
  const state = why !== undefined && UNALLOCATED.has(why.code) ? TaskState.NEW : TaskState.PENDING;
  const same = entry.task.pendingReason === pendingReason && entry.task.state >= state;
  if (same && !isNew) return;
  const isNews = entry.task.pendingReason !== pendingReason && why !== undefined;
  write(turn, entry, { state: Math.max(state, entry.task.state) as TaskState, pendingReason });
  if (!isNews) return;
  // In start-first order the task before it may have waited for this one.
  if (entry.task.replaces !== '') turn.left.slots.add(slotOf(entry.task));
}

function slotOf(task: Task): string {
  return task.slot > 0 ? `${task.serviceId}/${task.slot}` : `${task.serviceId}@${task.nodeId}`;
}

function write(turn: Turn, entry: Entry, patch: Partial<Task>): void {
  turn.fresh.delete(entry);
  turn.change(entry, patch);
}
