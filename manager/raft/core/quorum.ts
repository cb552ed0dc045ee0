/**
 * Majorities, simple and joint (dissertation sections 3.4 and 4.3). A majority is the sorted list
 * of its voters; a joint decision needs both halves. The empty majority agrees to everything, so
 * that a simple configuration is a joint one with an empty second half.
 */
import { NO_LIMIT, type NodeId } from './types.ts';

export type Majority = readonly NodeId[];

/** Incoming and outgoing half; the outgoing one is empty unless joint. */
export interface JointQuorum {
  readonly incoming: Majority;
  readonly outgoing: Majority;
}

/** What the empty majority has committed: everything. */
export const EVERYTHING = NO_LIMIT;

export const VoteResult = { Pending: 1, Lost: 2, Won: 3 } as const;
export type VoteResult = (typeof VoteResult)[keyof typeof VoteResult];

/** The highest index acknowledged by a member; undefined when nothing is known of it. */
export type AckedIndex = (id: NodeId) => number | undefined;
/** The vote of a member; undefined when it has not answered. */
export type VoteOf = (id: NodeId) => boolean | undefined;

// One buffer for all calls: they are synchronous, never nested, and run for every acknowledgement.
const acked: number[] = [];

/** The highest index that a majority has acknowledged. */
export function majorityCommitted(voters: Majority, ackedBy: AckedIndex): number {
  const n = voters.length;
  if (n === 0) return EVERYTHING;
  acked.length = 0;
  for (const id of voters) {
    // Insertion sort, ascending: there are rarely more than seven voters.
    const index = ackedBy(id) ?? 0;
    let at = acked.length;
    while (at > 0 && acked[at - 1]! > index) {
      acked[at] = acked[at - 1]!;
      at--;
    }
    acked[at] = index;
  }
  return acked[n - (Math.floor(n / 2) + 1)]!;
}

export function jointCommitted(q: JointQuorum, ackedBy: AckedIndex): number {
  const incoming = majorityCommitted(q.incoming, ackedBy);
  if (q.outgoing.length === 0) return incoming;
  return Math.min(incoming, majorityCommitted(q.outgoing, ackedBy));
}

/** Lost as soon as the missing votes can no longer make a majority. */
export function majorityVote(voters: Majority, voteOf: VoteOf): VoteResult {
  if (voters.length === 0) return VoteResult.Won;
  let yes = 0;
  let missing = 0;
  for (const id of voters) {
    const vote = voteOf(id);
    if (vote === undefined) missing++;
    else if (vote) yes++;
  }
  const needed = Math.floor(voters.length / 2) + 1;
  if (yes >= needed) return VoteResult.Won;
  return yes + missing >= needed ? VoteResult.Pending : VoteResult.Lost;
}

export function jointVote(q: JointQuorum, voteOf: VoteOf): VoteResult {
  const a = majorityVote(q.incoming, voteOf);
  const b = majorityVote(q.outgoing, voteOf);
  if (a === b) return a;
  if (a === VoteResult.Lost || b === VoteResult.Lost) return VoteResult.Lost;
  return VoteResult.Pending;
}

/** All voters of both halves, sorted, each once. */
export function jointVoters(q: JointQuorum): readonly NodeId[] {
  if (q.outgoing.length === 0) return q.incoming;
  const all = [...q.incoming];
  for (const id of q.outgoing) if (!q.incoming.includes(id)) all.push(id);
  return sortIds(all);
}

/** In place, by number: the default sort would compare ids as text. */
export function sortIds(ids: NodeId[]): NodeId[] {
  return ids.sort((a, b) => a - b);
}
