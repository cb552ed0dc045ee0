import { RaftMemberStatus, RaftStatus } from '../proto/index.ts';
import type { View } from './store/view.ts';

/** Raft knows its members by id and address alone; people know them by the names of their nodes. */
export function withMemberNames(status: RaftStatus, view: View): RaftStatus {
  const nodes = view.table('node');
  const members = status.members.map((member) =>
    RaftMemberStatus.with(member, { nodeName: nodes.get(member.nodeId)?.name ?? '' }),
  );
  return RaftStatus.with(status, { members });
}
