import { assert } from '../../shared/assert.ts';
import { LIMITS } from '../../shared/limits.ts';
import { type RaftConfig, type RaftConfigInput, raftConfig } from './core/index.ts';
import { ELECTION_TICKS, HEARTBEAT_TICKS } from './timing.ts';

type Own = Pick<RaftConfig, 'id' | 'storage' | 'applied' | 'random' | 'trace'>;

/** The settings that every member's core runs with, whatever a cluster is set to. */
export function coreSettings({ id, storage, applied, random, trace }: Own): RaftConfigInput {
  return checked({
    id,
    storage,
    applied,
    random,
    trace,
    electionTicks: ELECTION_TICKS,
    heartbeatTicks: HEARTBEAT_TICKS,
    maxSizePerMsg: LIMITS.raftMessageBytesMax,
    maxInflightMsgs: LIMITS.raftInflightMessagesMax,
    maxInflightBytes: LIMITS.raftInflightBytesMax,
    maxUncommittedSize: LIMITS.raftUncommittedBytesMax,
    disableProposalForwarding: true,
    preVote: true,
    checkQuorum: true,
    readOnly: 'safe',
    asyncStorageWrites: true,
  });
}

/** What safety, or living with one broken link, stands on, with the core's own defaults filled in. */
function checked(input: RaftConfigInput): RaftConfigInput {
  const config = raftConfig(input);
  assert(config.preVote, 'a member asks before it disturbs a term');
  assert(config.checkQuorum, 'a leader that hears no quorum steps down');
  assert(config.readOnly === 'safe', 'a read asks a quorum and trusts no clock');
  assert(config.asyncStorageWrites, 'what depends on a write is sent after it');
  assert(config.disableProposalForwarding, 'an entry belongs to the term of its draft');
  assert(!config.disableConfChangeValidation, 'one change of members at a time');
  return config;
}
