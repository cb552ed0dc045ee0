/** Quorum scripts: who has won, and up to where is committed, with a small picture. */
import type { JointQuorum } from '../../../manager/raft/core/quorum.ts';
import {
  EVERYTHING,
  jointCommitted,
  jointVote,
  jointVoters,
  majorityCommitted,
  majorityVote,
  sortIds,
  VoteResult,
} from '../../../manager/raft/core/quorum.ts';
import type { Directive } from './datadriven.ts';
import { integer } from './datadriven.ts';

interface Case {
  quorum: JointQuorum;
  isJoint: boolean;
  /** In the order of their first appearance: values are given in this order. */
  ids: number[];
  values: Map<number, string>;
  /** As they were given: one for each id, or `_`. */
  given: string[];
}

export function quorumRunner(): (d: Directive) => string {
  return (d) => {
    const c = parseCase(d);
    if (c.given.length !== c.ids.length) return mismatch(c);
    if (d.command === 'vote') return vote(c);
    if (d.command === 'committed') return committed(c);
    return 'unknown command';
  };
}

function parseCase(d: Directive): Case {
  const list = (key: string): string[] => {
    const found = d.args.find((a) => a.key === key)?.values ?? [];
    return found.filter((v) => v !== 'zero');
  };
  const incoming = list('cfg').map(integer);
  const outgoing = list('cfgj').map(integer);
  const ids = [...new Set([...incoming, ...outgoing])];
  const given = list(d.command === 'vote' ? 'votes' : 'idx');
  const values = new Map<number, string>();
  for (const [i, id] of ids.entries()) {
    const value = given[i];
    if (value !== undefined && value !== '_') values.set(id, value);
  }
  return {
    quorum: { incoming: sortIds([...incoming]), outgoing: sortIds([...outgoing]) },
    isJoint: d.args.some((a) => a.key === 'cfgj'),
    ids,
    values,
    given,
  };
}

/** As Go prints a set and a list; a vote is 2 for yes, 1 for no. */
function mismatch({ ids, given }: Case): string {
  const numbers: Readonly<Record<string, string>> = { y: '2', n: '1', _: '0' };
  const voters = sortIds([...ids]).map((id) => `${id}:{}`);
  const input = given.map((value) => numbers[value] ?? value);
  return (
    `error: mismatched input (explicit or _) for voters map[${voters.join(' ')}]: ` +
    `[${input.join(' ')}]`
  );
}

const VOTE_NAMES: Readonly<Record<VoteResult, string>> = {
  [VoteResult.Pending]: 'VotePending',
  [VoteResult.Lost]: 'VoteLost',
  [VoteResult.Won]: 'VoteWon',
};

function vote(c: Case): string {
  const voteOf = (id: number): boolean | undefined => {
    const value = c.values.get(id);
    return value === undefined ? undefined : value === 'y';
  };
  const { incoming, outgoing } = c.quorum;
  const result = c.isJoint ? jointVote(c.quorum, voteOf) : majorityVote(incoming, voteOf);
  const swapped = jointVote({ incoming: outgoing, outgoing: incoming }, voteOf);
  if (c.isJoint && swapped !== result) return 'the halves are not interchangeable';
  return VOTE_NAMES[result];
}

function committed(c: Case): string {
  const ackedBy = (id: number): number | undefined => {
    const value = c.values.get(id);
    return value === undefined ? undefined : integer(value);
  };
  const { incoming, outgoing } = c.quorum;
  const index = c.isJoint
    ? jointCommitted(c.quorum, ackedBy)
    : majorityCommitted(incoming, ackedBy);
  const swapped = jointCommitted({ incoming: outgoing, outgoing: incoming }, ackedBy);
  if (c.isJoint && swapped !== index) return 'the halves are not interchangeable';
  return picture(jointVoters(c.quorum), ackedBy) + (index === EVERYTHING ? '∞' : index);
}

/** Each member with a bar as long as the number of members below it. */
function picture(ids: readonly number[], ackedBy: (id: number) => number | undefined): string {
  const n = ids.length;
  if (n === 0) return '<empty majority quorum>';
  const rising = [...ids].sort((a, b) => (ackedBy(a) ?? 0) - (ackedBy(b) ?? 0) || a - b);
  const bars = new Map<number, number>();
  let bar = 0;
  for (const [i, id] of rising.entries()) {
    if (i > 0 && (ackedBy(rising[i - 1]!) ?? 0) < (ackedBy(id) ?? 0)) bar = i;
    bars.set(id, bar);
  }
  let text = `${' '.repeat(n)}    idx\n`;
  for (const id of ids) {
    const index = ackedBy(id);
    const length = bars.get(id)!;
    const mark =
      index === undefined ? `?${' '.repeat(n)}` : `${'x'.repeat(length)}>${' '.repeat(n - length)}`;
    text += `${mark} ${String(index ?? 0).padStart(5)}    (id=${id})\n`;
  }
  return text;
}
