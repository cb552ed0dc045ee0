import { Liveness, type NodeState, type NodeStatus } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import type { View } from '../../store/view.ts';

/** Nodes that fall silent within this time of each other fell silent together. */
const TOGETHER_MS = 10_000;
const HOLD_MS = 60_000;
const STEP_MS = 60_000;

export interface Brake {
  /** Cluster time before which the node's tasks are not moved. */
  readonly untilMs: number;
  readonly text: string;
}

/**
 * When many nodes fall silent at once, the network between them and us is the likelier culprit than
 * they are: more than a third of the nodes, and at least three, within 10 s. Then nothing is moved
 * for 60 s, and after that a tenth of the nodes a minute. The plan lies in the rows of the nodes.
 */
export function brakeFor(
  view: View,
  nodeId: string,
  state: NodeState,
  nowMs: number,
): Brake | undefined {
  if (state.brakeUntilMs > 0)
    return nowMs < state.brakeUntilMs
      ? { untilMs: state.brakeUntilMs, text: state.brake }
      : undefined;
  const statuses = [...view.table('nodeStatus').all()].filter((s) => view.table('node').has(s.id));
  const graceMs = view.table('cluster').get('cluster')?.spec?.nodeGraceMs || DEFAULTS.nodeGraceMs;
  const own = statuses.find((status) => status.id === nodeId);
  const ownMs = own === undefined ? nowMs : silentSince(own, graceMs);
  const silent = statuses.filter(
    (s) => isSilent(view, s) && Math.abs(silentSince(s, graceMs) - ownMs) <= TOGETHER_MS,
  );
  const alive = statuses.filter(
    (s) => s.liveness !== Liveness.DOWN && s.liveness !== Liveness.UNKNOWN && !isSilent(view, s),
  );
  const total = alive.length + silent.length;
  if (silent.length < 3 || silent.length * 3 <= total) return undefined;
  return plan(view, silent.length, total, nowMs);
}

/** The next free place in the queue: a tenth of the nodes, at least one, leaves it each minute. */
function plan(view: View, silent: number, total: number, nowMs: number): Brake {
  const perStep = Math.max(1, Math.floor(total / 10));
  let firstMs = Number.POSITIVE_INFINITY;
  let queued = 0;
  for (const other of view.table('nodeState').all()) {
    if (other.brakeUntilMs <= nowMs) continue;
    queued++;
    firstMs = Math.min(firstMs, other.brakeUntilMs);
  }
  const startMs = queued === 0 ? nowMs + HOLD_MS : firstMs;
  const untilMs = startMs + Math.floor(queued / perStep) * STEP_MS;
  const text = `${silent} of ${total} nodes fell silent at once: nothing is moved for now`;
  return { untilMs, text };
}

function isSilent(view: View, status: NodeStatus): boolean {
  if (status.liveness === Liveness.SUSPECT) return true;
  if (status.liveness !== Liveness.DOWN) return false;
  const lostMs = view.table('nodeState').get(status.id)?.lostMs ?? 0;
  // A node that said good-bye was given up before it went down.
  return lostMs === 0 || lostMs >= status.sinceMs;
}

function silentSince(status: NodeStatus, graceMs: number): number {
  const waitedMs = status.liveness === Liveness.DOWN ? graceMs : DEFAULTS.suspectMs;
  return status.sinceMs - waitedMs;
}
