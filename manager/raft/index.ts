/**
 * One member of the managers' raft group. In this order: `createFirstMember` or
 * `createJoiningMember` once, then at each start `openRaft`, `raftHandlers` into the server,
 * `driver.start(stateMachine)`, and at the end `close`.
 */
export type { BootstrapDeps, NewMember } from './bootstrap.ts';
export {
  createFirstMember,
  createJoiningMember,
  FIRST_INDEX,
  wipeMember,
} from './bootstrap.ts';
export type { ConfState } from './core/index.ts';
export type { RaftDeps, RaftOptions } from './deps.ts';
export { RaftDriver } from './driver.ts';
export type { MemberChange } from './member-change.ts';
export type { Identity, PeerRecord } from './meta.ts';
export type { OpenedRaft, OpenRaftDeps } from './open-raft.ts';
export { openRaft } from './open-raft.ts';
export type { Probe, ProbeResult } from './probe.ts';
export { tcpProbe } from './probe.ts';
export { isMember, isVoter, majority, quorumProblem } from './quorum-guard.ts';
export type { JoinRaft } from './service.ts';
export { raftHandlers } from './service.ts';
