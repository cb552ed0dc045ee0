import { RaftStatus } from '../../proto/index.ts';
import { type ConfState, ProgressState, type RawNode, StateType } from './core/index.ts';
import type { LogStore } from './log-store.ts';
import type { Identity } from './meta.ts';
import type { PeerActivity } from './peer-activity.ts';
import type { PeerDirectory } from './peers.ts';

const STATES: { readonly [state in StateType]: string } = {
  [StateType.Follower]: 'follower',
  [StateType.Candidate]: 'candidate',
  [StateType.Leader]: 'leader',
  [StateType.PreCandidate]: 'candidate',
};
const PROGRESS: { readonly [state in ProgressState]: string } = {
  [ProgressState.Probe]: 'probe',
  [ProgressState.Replicate]: 'replicate',
  [ProgressState.Snapshot]: 'snapshot',
};

/** The members as this one sees them; match and progress only on the leader. */
export function raftStatus(
  node: RawNode | undefined,
  store: LogStore,
  directory: PeerDirectory,
  identity: Identity,
  activity: PeerActivity,
): RaftStatus {
  if (node === undefined) {
    return RaftStatus.create({
      raftId: identity.raftId,
      applied: store.applied.index,
      state: 'loading',
    });
  }
  const { hardState, applied, config } = node.status();
  const ids = [...config.voters, ...config.learners].sort((a, b) => a - b);
  return RaftStatus.create({
    raftId: identity.raftId,
    term: hardState.term,
    leader: node.lead,
    applied,
    committed: hardState.commit,
    state: node.isLearner ? 'learner' : STATES[node.state],
    members: ids.map((id) => memberStatus(id, node, config, directory, activity)),
  });
}

function memberStatus(
  id: number,
  node: RawNode,
  config: ConfState,
  directory: PeerDirectory,
  activity: PeerActivity,
) {
  const isActive = node.isLeader ? activity.isActive(id) : activity.isActiveWithoutLeader(id);
  const progress = node.isLeader ? node.progress(id) : undefined;
  const peer = directory.get(id);
  return {
    raftId: id,
    nodeId: peer?.nodeId ?? '',
    address: peer?.address ?? '',
    role: config.learners.includes(id) ? 'learner' : 'voter',
    match: progress?.match ?? 0,
    progress: progress ? PROGRESS[progress.state] : '',
    active: id === node.id || isActive,
  };
}
