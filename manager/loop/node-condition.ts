import { Availability, Liveness } from '../../proto/index.ts';
import type { View } from '../store/view.ts';

/**
 * What a node's state asks of the tasks on it.
 * ok: nothing. waits: it is silent, but its tasks are not moved (yet). drain: they move, in order.
 * leaving: they move now, its host shuts down. lost: they are replaced, nobody can stop them.
 * gone: the node is no member any more.
 */
export type NodeCondition = 'ok' | 'waits' | 'drain' | 'leaving' | 'lost' | 'gone';

export function nodeCondition(view: View, nodeId: string): NodeCondition {
  const node = view.table('node').get(nodeId);
  if (node === undefined) return 'gone';
  const liveness = view.table('nodeStatus').get(nodeId)?.liveness ?? Liveness.UNKNOWN;
  if (liveness === Liveness.DOWN || liveness === Liveness.UNKNOWN) {
    if (node.removing) return 'gone';
    const lostMs = view.table('nodeState').get(nodeId)?.lostMs ?? 0;
    return lostMs > 0 ? 'lost' : 'waits';
  }
  if (liveness === Liveness.LEAVING) return 'leaving';
  if (node.removing || node.availability === Availability.DRAIN) return 'drain';
  return 'ok';
}

/** Why a node takes no new tasks; empty: it does. A word or two, as the scheduler counts them. */
export function blockedBecause(view: View, nodeId: string): string {
  const node = view.table('node').get(nodeId);
  if (node === undefined) return 'gone';
  if (node.removing) return 'being removed';
  switch (view.table('nodeStatus').get(nodeId)?.liveness ?? Liveness.UNKNOWN) {
    case Liveness.READY:
      break;
    case Liveness.SUSPECT:
      return 'silent';
    case Liveness.RESTARTING:
      return 'restarting';
    case Liveness.LEAVING:
      return 'shutting down';
    case Liveness.UNKNOWN:
      return 'never connected';
    default:
      return 'down';
  }
  if (node.availability === Availability.DRAIN) return 'drained';
  return node.availability === Availability.PAUSE ? 'paused' : '';
}

/** The tasks of such a node have nobody who could stop them: nothing waits for their end. */
export function isUnreachable(condition: NodeCondition): boolean {
  return condition === 'lost' || condition === 'gone';
}
