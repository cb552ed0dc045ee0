import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConfState, RawNode } from './core/index.ts';
import { EMPTY_CONF_STATE } from './core/index.ts';
import { changeMembers } from './membership.ts';
import { Proposals } from './proposals.ts';

const MEMBERS: ConfState = { ...EMPTY_CONF_STATE, voters: [1, 2, 3] };
const CHANGE = { kind: 'remove', peer: { raftId: 3, nodeId: 'n3', address: 'a:1' } } as const;

function nodeWith(answer: ReturnType<RawNode['proposeConfChange']>) {
  const asked: number[] = [];
  const proposeConfChange = (change: { nodeId: number }) => {
    asked.push(change.nodeId);
    return answer;
  };
  return { asked, node: { confState: () => MEMBERS, proposeConfChange } as unknown as RawNode };
}

test('a change that was decided upon other members is not even proposed', async () => {
  const { asked, node } = nodeWith({ ok: true, index: 7, term: 4 });
  const expected = { ...MEMBERS, voters: [1, 2] };
  const changed = changeMembers(node, new Proposals(), 4, CHANGE, expected, () => undefined);
  await assert.rejects(changed, { code: 'VERSION_CONFLICT' });
  assert.deepEqual(asked, []);
});

test('a change of the members that were expected is done when it is applied', async () => {
  const { asked, node } = nodeWith({ ok: true, index: 7, term: 4 });
  const proposals = new Proposals();
  const changed = changeMembers(node, proposals, 4, CHANGE, MEMBERS, () => undefined);
  proposals.applied(7, 4);
  await changed;
  assert.deepEqual(asked, [3]);
});

test('a change in flight when the lead is lost may have been done', async () => {
  const { node } = nodeWith({ ok: true, index: 7, term: 4 });
  const proposals = new Proposals();
  const changed = changeMembers(node, proposals, 4, CHANGE, MEMBERS, () => undefined);
  proposals.leadershipLost();
  await assert.rejects(changed, { code: 'MAYBE_DONE' });
});
