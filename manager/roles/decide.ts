import { type Certificate, type Member, type Node, Role } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { type ConfState, isMember, isVoter, quorumProblem } from '../raft/index.ts';

/** A member is given a vote once its log is this near to the leader's. */
const CATCH_UP_ENTRIES = 1_000;

/** How far a member's log is, as its leader knows. */
export interface Progress {
  readonly match: number;
  readonly lastIndex: number;
  readonly isActive: boolean;
  /** Entries are streamed to it: it needs no snapshot and no search for where logs agree. */
  readonly replicates: boolean;
}

/** Everything that the next step depends on. Wishes, rows and the group as applied here. */
export interface Facts {
  readonly selfNodeId: string;
  readonly nodes: ReadonlyMap<string, Node>;
  readonly members: ReadonlyMap<string, Member>;
  readonly certificates: ReadonlyMap<string, Certificate>;
  readonly confState: ConfState;
  readonly progress: (raftId: number) => Progress | undefined;
  /** Cluster time. */
  readonly nowMs: number;
}

/** What to do next. Each one can be repeated: a leader may die right after it. */
export type Step =
  | { readonly kind: 'offer'; readonly nodeId: string }
  | { readonly kind: 'certificate'; readonly nodeId: string; readonly role: Role }
  | { readonly kind: 'phase'; readonly nodeId: string; readonly phase: Phase }
  | { readonly kind: 'add-learner' | 'add-voter'; readonly member: Member }
  | { readonly kind: 'remove'; readonly raftId: number; readonly nodeId: string }
  | { readonly kind: 'forget'; readonly member: Member }
  | { readonly kind: 'hand-over'; readonly nodeId: string }
  /** A learner that does not catch up: it is no manager until it is demoted and promoted again. */
  | { readonly kind: 'give-up'; readonly nodeId: string; readonly message: string }
  /** Nothing can be done for this node now: say why. */
  | { readonly kind: 'wait'; readonly nodeId: string; readonly message: string };

export type Action = Exclude<Step, { kind: 'wait' }>;
export type Wait = Extract<Step, { kind: 'wait' }>;
export type Phase = 'voter' | 'leaving';

/**
 * The first step that can be taken, and what is waited for before it. Promotions come first: what
 * replaces a lost voter must be in before that one goes out.
 */
export function nextSteps(facts: Facts): { step: Action | undefined; waits: Wait[] } {
  const waits: Wait[] = [];
  for (const step of possibleSteps(facts)) {
    if (step.kind !== 'wait') return { step, waits };
    waits.push(step);
  }
  return { step: undefined, waits };
}

function* possibleSteps(facts: Facts): Generator<Step> {
  const ids = [...new Set([...facts.nodes.keys(), ...facts.members.keys()])].sort();
  for (const id of ids) if (isWanted(facts, id)) yield* promote(facts, id);
  for (const id of ids) if (!isWanted(facts, id)) yield* demote(facts, id);
  yield* removeStrays(facts);
}

function isWanted({ nodes }: Facts, nodeId: string): boolean {
  const node = nodes.get(nodeId);
  return node !== undefined && !node.removing && node.role === Role.MANAGER;
}

function* promote(facts: Facts, nodeId: string): Generator<Step> {
  const member = facts.members.get(nodeId);
  const certificate = facts.certificates.get(nodeId);
  if (certificate === undefined) return;
  if (member === undefined) yield { kind: 'offer', nodeId };
  else if (member.phase === 'given-up') yield afterGivingUp(facts, member, certificate.role);
  else if (certificate.role !== Role.MANAGER) {
    yield { kind: 'certificate', nodeId, role: Role.MANAGER };
  } else if (member.phase === 'certificate') {
    yield wait(nodeId, 'waiting for the node to come with its new certificate');
  } else if (isVoter(facts.confState, member.raftId)) {
    if (member.phase !== 'voter') yield { kind: 'phase', nodeId, phase: 'voter' };
  } else if (isMember(facts.confState, member.raftId)) {
    // Its state may be gone with the demotion, and nobody is taken in for one who leaves.
    if (member.phase === 'leaving') yield { kind: 'remove', raftId: member.raftId, nodeId };
    else yield catchUp(facts, member);
  } else if (member.phase === 'learner') yield { kind: 'add-learner', member };
  // Demoted, out of the group, and promoted again: a raft id does not come back.
  else yield { kind: 'forget', member };
}

function catchUp(facts: Facts, member: Member): Step {
  const progress = facts.progress(member.raftId);
  if (!progress?.isActive)
    return waitOrGiveUp(facts, member, 'the node does not answer the leader');
  const isNear = progress.replicates && progress.lastIndex - progress.match <= CATCH_UP_ENTRIES;
  if (!isNear) return waitOrGiveUp(facts, member, 'receiving the state of the cluster');
  const problem = quorumProblem([...facts.confState.voters, member.raftId], activity(facts));
  return problem === undefined ? { kind: 'add-voter', member } : wait(member.id, problem);
}

/** What it still waits for after that long, it will wait for for ever. */
function waitOrGiveUp({ nowMs }: Facts, { id, sinceMs }: Member, why: string): Step {
  if (sinceMs === 0 || nowMs - sinceMs < LIMITS.learnerCatchUpMs) return wait(id, why);
  const minutes = LIMITS.learnerCatchUpMs / 60_000;
  const message = `given up after ${minutes} minutes (${why}): demote it, then promote it again`;
  return { kind: 'give-up', nodeId: id, message };
}

function afterGivingUp({ confState }: Facts, { id, raftId, message }: Member, role: Role): Step {
  if (isMember(confState, raftId)) return { kind: 'remove', raftId, nodeId: id };
  if (role !== Role.WORKER) return { kind: 'certificate', nodeId: id, role: Role.WORKER };
  return wait(id, message);
}

function* demote(facts: Facts, nodeId: string): Generator<Step> {
  const member = facts.members.get(nodeId);
  const certificate = facts.certificates.get(nodeId);
  if (member === undefined) {
    if (certificate?.role === Role.MANAGER && facts.nodes.has(nodeId)) {
      yield { kind: 'certificate', nodeId, role: Role.WORKER };
    }
    return;
  }
  if (!isMember(facts.confState, member.raftId)) {
    yield { kind: 'forget', member };
    return;
  }
  const rest = facts.confState.voters.filter((raftId) => raftId !== member.raftId);
  const problem = isVoter(facts.confState, member.raftId)
    ? quorumProblem(rest, activity(facts))
    : undefined;
  if (problem !== undefined) yield wait(nodeId, problem);
  else if (member.phase !== 'leaving') yield { kind: 'phase', nodeId, phase: 'leaving' };
  else if (nodeId === facts.selfNodeId) yield { kind: 'hand-over', nodeId };
  else yield { kind: 'remove', raftId: member.raftId, nodeId };
}

/** Raft ids in the group that no row names: of nodes that came back with a new one. */
function* removeStrays(facts: Facts): Generator<Step> {
  const known = new Set([...facts.members.values()].map((member) => member.raftId));
  const isReplacing = [...facts.members.values()].some((member) => member.phase === 'learner');
  const { voters, learners } = facts.confState;
  for (const raftId of [...learners, ...voters]) {
    if (known.has(raftId)) continue;
    const rest = voters.filter((id) => id !== raftId);
    if (voters.includes(raftId) && (isReplacing || quorumProblem(rest, activity(facts)))) continue;
    yield { kind: 'remove', raftId, nodeId: '' };
  }
}

function activity(facts: Facts): (raftId: number) => boolean {
  return (raftId) => facts.progress(raftId)?.isActive ?? false;
}

function wait(nodeId: string, message: string): Wait {
  return { kind: 'wait', nodeId, message };
}
