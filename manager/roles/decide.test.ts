import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Certificate, Member, Node, Role } from '../../proto/index.ts';
import type { ConfState } from '../raft/index.ts';
import { type Facts, nextSteps, type Progress } from './decide.ts';

interface Given {
  readonly nodes?: readonly Node[];
  readonly members?: readonly Member[];
  readonly certificates?: { readonly [nodeId: string]: Role };
  readonly voters?: readonly number[];
  readonly learners?: readonly number[];
  readonly nowMs?: number;
  readonly progress?: { readonly [raftId: number]: Partial<Progress> };
}

function facts(given: Given): Facts {
  const byId = <R extends { readonly id: string }>(rows: readonly R[] = []) =>
    new Map(rows.map((row) => [row.id, row]));
  const certificates = Object.entries(given.certificates ?? {}).map(([id, role]) =>
    Certificate.create({ id, role }),
  );
  const confState: ConfState = {
    voters: given.voters ?? [],
    learners: given.learners ?? [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  return {
    selfNodeId: 'a',
    nodes: byId(given.nodes),
    members: byId(given.members),
    certificates: byId(certificates),
    confState,
    progress: (raftId) => {
      const progress = { match: 100, lastIndex: 100, isActive: true, replicates: true };
      return { ...progress, ...given.progress?.[raftId] };
    },
    nowMs: given.nowMs ?? 0,
  };
}
const manager = (id: string) => Node.create({ id, role: Role.MANAGER });
const worker = (id: string) => Node.create({ id, role: Role.WORKER });
const member = (id: string, raftId: number, phase: string) => Member.create({ id, raftId, phase });
const leads = { nodes: [manager('a')], members: [member('a', 1, 'voter')], voters: [1] };

function decide(given: Given): string {
  const { step, waits } = nextSteps(facts(given));
  const said = waits.map((wait) => `${wait.nodeId}: ${wait.message}`);
  if (step === undefined) return said.join('; ') || 'nothing';
  const { kind } = step;
  if ('member' in step) return `${kind} ${step.member.id}`;
  return `${kind} ${step.nodeId || ('raftId' in step ? step.raftId : '')}`;
}

describe('a promotion', () => {
  const nodes = [manager('a'), manager('b')];
  const certificates = { a: Role.MANAGER, b: Role.MANAGER };
  const with_ = (changes: Given): Given => ({ ...leads, nodes, certificates, ...changes });
  const rows = (phase: string, raftId = 2) => [member('a', 1, 'voter'), member('b', raftId, phase)];

  test('begins with a row', () => {
    assert.equal(decide(with_({ certificates: { a: 1, b: Role.WORKER } })), 'offer b');
  });
  test('goes on with the certificate', () => {
    const given = {
      members: rows('certificate', 0),
      certificates: { a: 1, b: Role.WORKER },
    } as const;
    assert.equal(decide(with_(given)), 'certificate b');
  });
  test('waits for the node to come', () => {
    assert.match(decide(with_({ members: rows('certificate', 0) })), /b: waiting for the node/);
  });
  test('is repeated when the leader died before the learner was added', () => {
    assert.equal(decide(with_({ members: rows('learner') })), 'add-learner b');
  });
  test('waits while the log is far behind', () => {
    const progress = { 2: { match: 1, lastIndex: 5_000 } };
    const given = with_({ members: rows('learner'), learners: [2], progress });
    assert.match(decide(given), /b: receiving the state/);
  });
  test('gives a vote to one that has caught up', () => {
    const given = with_({ members: rows('learner'), learners: [2] });
    assert.equal(decide(given), 'add-voter b');
  });
  test('gives no vote to one that does not answer', () => {
    const progress = { 2: { isActive: false } };
    const given = with_({ members: rows('learner'), learners: [2], progress });
    assert.match(decide(given), /b: the node does not answer/);
  });
  test('of a learner that was on its way out takes it out first: it comes anew', () => {
    const leaving = { members: rows('leaving'), voters: [1] };
    assert.equal(decide(with_({ ...leaving, learners: [2] })), 'remove b');
    assert.equal(decide(with_(leaving)), 'forget b');
  });
  test('of a voter that was on its way out lets it stay', () => {
    assert.equal(decide(with_({ members: rows('leaving'), voters: [1, 2] })), 'phase b');
  });
  test('ends with the row', () => {
    assert.equal(decide(with_({ members: rows('learner'), voters: [1, 2] })), 'phase b');
  });
  test('is at its end when all agree', () => {
    assert.equal(decide(with_({ members: rows('voter'), voters: [1, 2] })), 'nothing');
  });

  test('that does not come near in ten minutes is given up, with the reason', () => {
    const row = (phase: string, more: object = {}) => [
      member('a', 1, 'voter'),
      Member.create({ id: 'b', raftId: 2, phase, sinceMs: 1_000, ...more }),
    ];
    const progress = { 2: { isActive: false } };
    const learning = with_({ members: row('learner'), learners: [2], progress });
    assert.match(decide({ ...learning, nowMs: 600_000 }), /does not answer/);
    assert.equal(decide({ ...learning, nowMs: 601_000 }), 'give-up b');
    const near = { ...learning, progress: {}, nowMs: 601_000 };
    assert.equal(decide(near), 'add-voter b', 'who has caught up is not given up');
    const givenUp = with_({ members: row('given-up', { message: 'why' }) });
    assert.equal(decide({ ...givenUp, learners: [2] }), 'remove b');
    assert.equal(decide(givenUp), 'certificate b');
    const reduced = { ...givenUp, certificates: { a: Role.MANAGER, b: Role.WORKER } };
    assert.equal(decide(reduced), 'b: why');
    assert.equal(decide({ ...reduced, nodes: [manager('a'), worker('b')] }), 'forget b');
  });
});

describe('a demotion', () => {
  const members = (phase: string) => [
    member('a', 1, 'voter'),
    member('b', 2, phase),
    member('c', 3, 'voter'),
  ];
  const nodes = [manager('a'), worker('b'), manager('c')];
  const certificates = { a: Role.MANAGER, b: Role.MANAGER, c: Role.MANAGER };
  const given: Given = { nodes, members: members('voter'), certificates, voters: [1, 2, 3] };

  test('begins with the row', () => {
    assert.equal(decide(given), 'phase b');
  });
  test('goes on with the group', () => {
    assert.equal(decide({ ...given, members: members('leaving') }), 'remove b');
  });
  test('is refused while the others are no live majority', () => {
    const progress = { 3: { isActive: false } };
    assert.match(decide({ ...given, progress }), /b: only 1 of the other 2 managers answer, 2 are/);
  });
  test('deletes the row once it is out of the group', () => {
    assert.equal(decide({ ...given, members: members('leaving'), voters: [1, 3] }), 'forget b');
  });
  test('ends with the certificate', () => {
    const rest = [member('a', 1, 'voter'), member('c', 3, 'voter')];
    assert.equal(decide({ ...given, members: rest, voters: [1, 3] }), 'certificate b');
  });
  test('of the leader hands over first', () => {
    const own = [member('a', 1, 'leaving'), member('c', 3, 'voter')];
    const wishes = [worker('a'), manager('c')];
    assert.equal(decide({ ...given, nodes: wishes, members: own, voters: [1, 3] }), 'hand-over a');
  });
  test('of the last manager is refused', () => {
    const wishes = [worker('a')];
    assert.match(decide({ ...leads, nodes: wishes, certificates }), /a: it is the last manager/);
  });
  test('also happens to a manager whose node is gone', () => {
    const wishes = [manager('a'), manager('c')];
    assert.equal(decide({ ...given, nodes: wishes, members: members('leaving') }), 'remove b');
  });
});

describe('a node that came back with a new raft id', () => {
  const given: Given = {
    nodes: [manager('a'), manager('b'), manager('c')],
    certificates: { a: Role.MANAGER, b: Role.MANAGER, c: Role.MANAGER },
    members: [member('a', 1, 'voter'), member('b', 22, 'learner'), member('c', 3, 'voter')],
    voters: [1, 2, 3],
    learners: [22],
    progress: { 2: { isActive: false } },
  };
  test('gets its vote before the old one goes', () => {
    assert.equal(decide(given), 'add-voter b');
  });
  test('has its old raft id removed then', () => {
    const members = [member('a', 1, 'voter'), member('b', 22, 'voter'), member('c', 3, 'voter')];
    assert.equal(decide({ ...given, members, voters: [1, 2, 3, 22], learners: [] }), 'remove 2');
  });
});
