import { type NetworkAttachment, NodeState } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import type { Entry } from '../task-facts.ts';
import type { Turn } from '../turn.ts';

/** A task is given this much longer to stop than its own drain time and grace. */
const SLACK_MS = 60_000;

/**
 * Addresses of tasks whose rows this turn deletes while they may run on a lost node: they go with the
 * node, and are free when it has had the time to stop them, is removed, or after 24 h.
 */
export function keepAddresses(turn: Turn): void {
  const byNode = new Map<string, Entry[]>();
  for (const entry of turn.abandoned) {
    const entries = byNode.get(entry.task.nodeId);
    if (entries === undefined) byNode.set(entry.task.nodeId, [entry]);
    else entries.push(entry);
  }
  for (const [id, entries] of byNode) {
    const before = turn.draft.table('nodeState').get(id) ?? NodeState.create({ id });
    const held: NetworkAttachment[] = [...before.held];
    let heldGraceMs = before.heldGraceMs;
    for (const entry of entries) {
      held.push(...entry.task.attachments);
      heldGraceMs = Math.max(heldGraceMs, graceOf(turn, entry));
    }
    const heldUntilMs = lostUntilMs(turn, id);
    turn.draft.put('nodeState', NodeState.with(before, { held, heldGraceMs, heldUntilMs }));
    turn.wake(`n:${id}`, heldUntilMs);
  }
}

/** Brings what a node holds up to date: after a loss or a return, and when its time is over. */
export function settleHeld(turn: Turn, before: NodeState, after: NodeState): NodeState {
  if (after.held.length === 0) return after;
  let { heldUntilMs } = after;
  const isLost = after.lostMs > 0;
  if (isLost && before.lostMs === 0) heldUntilMs = lostUntilMs(turn, after.id);
  else if (!isLost && before.lostMs > 0)
    heldUntilMs = Math.min(heldUntilMs, turn.now + after.heldGraceMs);
  if (turn.now >= heldUntilMs)
    return NodeState.with(after, { held: [], heldUntilMs: 0, heldGraceMs: 0 });
  turn.wake(`n:${after.id}`, heldUntilMs);
  return NodeState.with(after, { heldUntilMs });
}

function lostUntilMs(turn: Turn, nodeId: string): number {
  const sinceMs = turn.draft.table('nodeStatus').get(nodeId)?.sinceMs ?? turn.now;
  return Math.max(turn.now, sinceMs + DEFAULTS.orphanMs);
}

function graceOf(turn: Turn, { task }: Entry): number {
  const spec = turn.specs.find(turn.draft, task.serviceId, task.revision)?.task;
  const graceMs = spec?.container?.stopGraceMs || DEFAULTS.stopGraceMs;
  return (spec?.drainTimeMs || DEFAULTS.drainTimeMs) + graceMs + SLACK_MS;
}
