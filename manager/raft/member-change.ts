import { ConfChangeType, type ConfChangeV1 } from './core/index.ts';
import type { PeerRecord } from './storage/meta.ts';
import { encodePeer } from './transport/peers.ts';

/** The changes that are ever made to the members: simple ones, one at a time. */
export type MemberChange =
  | { readonly kind: 'add-learner' | 'add-voter' | 'update'; readonly peer: PeerRecord }
  | { readonly kind: 'remove'; readonly peer: PeerRecord };

const TYPES = {
  'add-learner': ConfChangeType.AddLearner,
  'add-voter': ConfChangeType.AddNode,
  update: ConfChangeType.UpdateNode,
  remove: ConfChangeType.RemoveNode,
} as const;

export function toConfChange({ kind, peer }: MemberChange): ConfChangeV1 {
  return { type: TYPES[kind], nodeId: peer.raftId, context: encodePeer(peer) };
}
