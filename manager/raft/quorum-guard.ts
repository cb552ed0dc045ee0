import type { ConfState } from './core/index.ts';

/** How many of `voters` make a majority. */
export function majority(voters: number): number {
  return Math.floor(voters / 2) + 1;
}

/**
 * Why the voters must not become `after`, or undefined when they may: a majority of them must be
 * answering now, else the change could not even be undone.
 */
export function quorumProblem(
  after: readonly number[],
  isActive: (raftId: number) => boolean,
): string | undefined {
  if (after.length === 0) return 'it is the last manager';
  const active = after.filter(isActive).length;
  const needed = majority(after.length);
  if (active >= needed) return undefined;
  return `only ${active} of the other ${after.length} managers answer, ${needed} are needed`;
}

export function isVoter(state: ConfState, raftId: number): boolean {
  return state.voters.includes(raftId) || state.votersOutgoing.includes(raftId);
}
export function isMember(state: ConfState, raftId: number): boolean {
  return isVoter(state, raftId) || state.learners.includes(raftId);
}
