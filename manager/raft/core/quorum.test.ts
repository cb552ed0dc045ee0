import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { JointQuorum } from './quorum.ts';
import {
  EVERYTHING,
  jointCommitted,
  jointVote,
  jointVoters,
  majorityCommitted,
  majorityVote,
  VoteResult,
} from './quorum.ts';

const ids = fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { maxLength: 9 });
const acks = fc.dictionary(fc.integer({ min: 1, max: 12 }).map(String), fc.nat(20));

/** The highest index that more than half have reached, found by trying all. */
function naiveCommitted(voters: readonly number[], of: (id: number) => number | undefined): number {
  if (voters.length === 0) return EVERYTHING;
  for (let index = 20; index > 0; index--) {
    const count = voters.filter((id) => (of(id) ?? 0) >= index).length;
    if (count > voters.length / 2) return index;
  }
  return 0;
}

test('the committed index is the highest that a majority has reached', () => {
  fc.assert(
    fc.property(ids, acks, (voters, known) => {
      const of = (id: number) => known[String(id)];
      assert.equal(majorityCommitted(voters, of), naiveCommitted(voters, of));
    }),
  );
});

test('a joint quorum has committed what both halves have', () => {
  fc.assert(
    fc.property(ids, ids, acks, (incoming, outgoing, known) => {
      const of = (id: number) => known[String(id)];
      const both = Math.min(naiveCommitted(incoming, of), naiveCommitted(outgoing, of));
      assert.equal(jointCommitted({ incoming, outgoing }, of), both);
      assert.equal(jointCommitted({ incoming: outgoing, outgoing: incoming }, of), both);
    }),
  );
});

test('a vote is pending exactly as long as the missing answers can still decide it', () => {
  const votes = fc.dictionary(fc.integer({ min: 1, max: 12 }).map(String), fc.boolean());
  fc.assert(
    fc.property(ids, votes, (voters, cast) => {
      const of = (id: number) => cast[String(id)];
      const result = majorityVote(voters, of);
      const atBest = majorityVote(voters, (id) => of(id) ?? true);
      const atWorst = majorityVote(voters, (id) => of(id) ?? false);
      assert.notEqual(atBest, VoteResult.Pending);
      assert.equal(result === VoteResult.Pending, atBest !== atWorst);
      if (result !== VoteResult.Pending) assert.equal(result, atBest);
    }),
  );
});

test('a joint vote is won by both halves and lost by either', () => {
  const q: JointQuorum = { incoming: [1, 2, 3], outgoing: [3, 4, 5] };
  const by =
    (...yes: number[]) =>
    (id: number) =>
      yes.includes(id) ? true : undefined;
  assert.equal(jointVote(q, by(1, 2)), VoteResult.Pending);
  assert.equal(jointVote(q, by(1, 3, 4)), VoteResult.Won);
  const refused = (id: number) => id < 4;
  assert.equal(jointVote(q, refused), VoteResult.Lost);
});

test('the empty majority agrees to everything', () => {
  assert.equal(
    majorityCommitted([], () => 5),
    EVERYTHING,
  );
  assert.equal(
    majorityVote([], () => undefined),
    VoteResult.Won,
  );
});

test('the voters of a joint quorum are sorted by number, each once', () => {
  assert.deepEqual(jointVoters({ incoming: [2, 10], outgoing: [1, 2, 9] }), [1, 2, 9, 10]);
});
