import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Member, Node, RaftStatus } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { ControlDeps } from './deps.ts';
import { clusterStatus } from './raft-status.ts';

const MEMBERS = [1, 2, 3].map((raftId) => {
  return { raftId, nodeId: `node-${raftId}`, address: `m${raftId}:1`, role: 'voter' };
});
const statusOf = (raftId: number, of: Partial<RaftStatus> = {}): RaftStatus =>
  RaftStatus.decode(
    RaftStatus.encode(
      RaftStatus.create({
        raftId,
        leader: 1,
        state: raftId === 1 ? 'leader' : 'follower',
        members: MEMBERS,
        ...of,
      }),
    ),
  );

/** Asked of the second of three managers, of which the third does not answer. */
function ask(answers: readonly RaftStatus[], rows: readonly Partial<Member>[] = []) {
  const members = new Map(rows.map((row) => [row.id!, Member.create(row)]));
  const nodes = new Map(MEMBERS.map(({ nodeId: id }) => [id, Node.create({ id, name: id })]));
  const byAddress = new Map(answers.map((answer) => [`m${answer.raftId}:1`, answer]));
  const deps = {
    raft: {
      status: () => statusOf(2),
      ask: async (address: string) => byAddress.get(address),
    },
    store: { view: { table: (name: string) => (name === 'node' ? nodes : members) } },
    clock: new ManualClock(),
  } as unknown as ControlDeps;
  return clusterStatus(deps, { consistency: 'linearizable' } as CallContext);
}

test('what each manager says of itself stands beside what the leader knows of it', async () => {
  const known = MEMBERS.map((member) => ({ ...member, match: member.raftId * 10 }));
  const answer = await ask([statusOf(1, { applied: 30, lastIndex: 31, members: known as never })]);
  assert.equal(answer.lastIndex, 31);
  assert.deepEqual(
    answer.members.map(({ match, applied, answered }) => [match, applied, answered]),
    [
      [10, 30, true],
      [20, 0, true],
      [30, 0, false],
    ],
  );
});

test('a manager whose disk is nearly full says so, as the leader above all', async () => {
  const answer = await ask([statusOf(1, { readOnly: true }), statusOf(3, { readOnly: true })]);
  assert.deepEqual(
    answer.members.map(({ message }) => message),
    [
      'its disk is nearly full: no changes are taken',
      '',
      'its disk is nearly full: it could take none as leader',
    ],
  );
});

test('damage, and a change of its role that does not go on, come first', async () => {
  const rows = [
    { id: 'node-1', damage: 'a chain is broken' },
    { id: 'node-3', message: 'waits' },
  ];
  const answer = await ask([statusOf(1, { readOnly: true })], rows);
  assert.deepEqual(
    answer.members.map(({ message }) => message),
    ['its state is damaged (a chain is broken): it joins anew', '', 'waits'],
  );
});
