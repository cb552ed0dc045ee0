import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ChangeResult, Changer } from './confchange.ts';
import { changeMembership, restoreMembership } from './confchange.ts';
import { decodeConfChange, encodeConfChange } from './confchange-codec.ts';
import { jointVoters } from './quorum.ts';
import { NO_MEMBERS, Tracker, toConfState } from './tracker.ts';
import type { ConfChange, ConfChangeTransition, ConfChangeType } from './types.ts';
import { EntryType } from './types.ts';

const factory = new Tracker(4, 1000);

const single = fc.record({
  type: fc.integer({ min: 0, max: 3 }) as fc.Arbitrary<ConfChangeType>,
  nodeId: fc.integer({ min: 0, max: 6 }),
});
const change: fc.Arbitrary<ConfChange> = fc.record({
  transition: fc.integer({ min: 0, max: 2 }) as fc.Arbitrary<ConfChangeTransition>,
  changes: fc.array(single, { maxLength: 4 }),
  context: fc.uint8Array({ maxLength: 5 }),
});

/** All sets of these voters that are majorities of both halves. */
function quorums(incoming: readonly number[], outgoing: readonly number[]): Set<number>[] {
  const all = [...new Set([...incoming, ...outgoing])];
  const found: Set<number>[] = [];
  for (let bits = 0; bits < 1 << all.length; bits++) {
    const chosen = all.filter((_, i) => bits & (1 << i));
    const wins = (half: readonly number[]) =>
      half.length === 0 || half.filter((id) => chosen.includes(id)).length > half.length / 2;
    if (wins(incoming) && wins(outgoing)) found.push(new Set(chosen));
  }
  return found;
}

test('after any change, every old quorum shares a member with every new one', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
      const start = restoreMembership(
        { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
        factory,
        1,
      );
      let at: Changer = { ...start, factory, lastIndex: 1 };
      for (const c of changes) {
        const before = at.membership;
        const next: ChangeResult = changeMembership(at, c);
        if (!next.ok) continue;
        at = { ...at, membership: next.membership, progress: next.progress };
        const old = quorums(before.incoming, before.outgoing);
        for (const q of quorums(at.membership.incoming, at.membership.outgoing)) {
          assert(
            old.every((o) => [...o].some((id) => q.has(id))),
            'two quorums do not meet',
          );
        }
        assert(jointVoters(at.membership).length > 0);
      }
    }),
    { numRuns: 300 },
  );
});

test('a membership built from its persisted form is the same', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 8 }), (changes) => {
      let at: Changer = { membership: NO_MEMBERS, progress: new Map(), factory, lastIndex: 1 };
      for (const c of changes) {
        const next = changeMembership(at, c);
        if (next.ok) at = { ...at, membership: next.membership, progress: next.progress };
      }
      const again = restoreMembership(toConfState(at.membership), factory, 1);
      assert.deepEqual(again.membership, at.membership);
      assert.deepEqual([...again.progress.keys()].sort(), [...at.progress.keys()].sort());
    }),
  );
});

test('a change that is refused leaves no trace', () => {
  const start = restoreMembership(
    { voters: [1], votersOutgoing: [], learners: [2], learnersNext: [], autoLeave: false },
    factory,
    1,
  );
  const refused = changeMembership(
    { ...start, factory, lastIndex: 9 },
    { transition: 0, changes: [{ type: 1, nodeId: 1 }], context: new Uint8Array(0) },
  );
  assert.deepEqual(refused, { ok: false, reason: 'removed all voters' });
  assert.equal(start.progress.get(2)!.isLearner, true);
  assert.equal(start.progress.size, 2);
});

/** Generated objects have no prototype; what is in them is what counts. */
function same(actual: ConfChange | null, expected: unknown): void {
  assert.equal(JSON.stringify(actual), JSON.stringify(expected));
}

test('a change survives being written and read, in both forms', () => {
  fc.assert(
    fc.property(change, single, (v2, one) => {
      same(decodeConfChange(encodeConfChange(v2)), v2);
      const encoded = encodeConfChange({ ...one, context: v2.context });
      assert.equal(encoded.type, EntryType.ConfChange);
      const expected = { transition: 0, changes: [one], context: v2.context };
      same(decodeConfChange(encoded), expected);
    }),
  );
});

test('a big id keeps all its digits', () => {
  const nodeId = Number.MAX_SAFE_INTEGER;
  const encoded = encodeConfChange({ type: 0, nodeId, context: new Uint8Array(0) });
  assert.equal(decodeConfChange(encoded)?.changes[0]?.nodeId, nodeId);
});

test('bytes that are no change are told apart, and none makes the reader fail', () => {
  for (const type of [EntryType.ConfChange, EntryType.ConfChangeV2]) {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 30 }), (data) => {
        const decoded = decodeConfChange({ type, data });
        if (decoded !== null) assert(decoded.changes.every((c) => c.type <= 3));
      }),
    );
    assert.equal(decodeConfChange({ type, data: Uint8Array.of(0x10, 0x63) }) === null, type === 1);
  }
});
