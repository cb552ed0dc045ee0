/**
 * One member of the managers' raft group. In this order: `createFirstMember` or
 * `createJoiningMember` once, then at each start `openRaft`, `raftHandlers` into the server,
 * `driver.start(stateMachine)`, and at the end `close`.
 */

export type { ConfState } from './core/index.ts';
export type { RaftDeps, RaftOptions } from './deps.ts';
export { RaftDriver } from './driver.ts';
export type { MemberChange } from './member-change.ts';
export type { OpenedRaft, OpenRaftDeps } from './open-raft.ts';
export { openRaft } from './open-raft.ts';
export { isMember, isVoter, majority, quorumProblem } from './quorum-guard.ts';
export type { JoinRaft } from './service.ts';
export { raftHandlers } from './service.ts';
export type { BootstrapDeps, NewMember } from './storage/bootstrap.ts';
export {
  createFirstMember,
  createJoiningMember,
  FIRST_INDEX,
  wipeMember,
} from './storage/bootstrap.ts';
export type { Identity, PeerRecord } from './storage/meta.ts';
export type { Probe, ProbeResult } from './transport/probe.ts';
export { tcpProbe } from './transport/probe.ts';
