import { RaftStatus } from '../../proto/index.ts';
import type { Database } from '../database/index.ts';
import { type ConfState, ProgressState, type RawNode, StateType } from './core/index.ts';
import type { SeenTerm } from './leader-watch.ts';
import type { LogStore } from './storage/log-store.ts';
import type { Identity } from './storage/meta.ts';
import type { PeerActivity } from './transport/peer-activity.ts';
import type { PeerDirectory } from './transport/peers.ts';

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

export interface StatusSources {
  readonly node: RawNode | undefined;
  readonly store: LogStore;
  readonly directory: PeerDirectory;
  readonly identity: Identity;
  readonly activity: PeerActivity;
  readonly database: Pick<Database, 'latency' | 'outstandingMs' | 'readOnly'>;
  readonly terms: readonly SeenTerm[];
}

/** The members as this one sees them; match and progress only on the leader. */
export function raftStatus(sources: StatusSources): RaftStatus {
  const { node, store, directory, identity, activity, database, terms } = sources;
  const { raftId, epoch } = identity;
  const outstandingMs = Math.round(database.outstandingMs());
  const disk = { ...database.latency.summary(), outstandingMs };
  const { readOnly } = database;
  if (node === undefined) {
    const applied = store.applied.index;
    return RaftStatus.create({ raftId, epoch, applied, disk, readOnly, state: 'loading' });
  }
  const { hardState, applied, config } = node.status();
  const ids = [...config.voters, ...config.learners].sort((a, b) => a - b);
  return RaftStatus.create({
    raftId,
    epoch,
    disk,
    readOnly,
    lastIndex: node.lastIndex,
    terms: terms.map((seen) => {
      return { ...seen, nodeId: seen.nodeId || (directory.get(seen.leader)?.nodeId ?? '') };
    }),
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
  const silentMs = id === node.id ? undefined : activity.silentMs(id);
  return {
    raftId: id,
    nodeId: peer?.nodeId ?? '',
    address: peer?.address ?? '',
    role: config.learners.includes(id) ? 'learner' : 'voter',
    match: progress?.match ?? 0,
    progress: progress ? PROGRESS[progress.state] : '',
    active: id === node.id || isActive,
    hasContact: id === node.id || silentMs !== undefined,
    lastContactMs: Math.round(silentMs ?? 0),
  };
}
