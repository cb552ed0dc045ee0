import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Certificate, type EventRow, Member, Node, Role } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { SeededIds } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { ConfState, MemberChange } from '../raft/index.ts';
import { LocalStore } from '../store/local-store.fixture.ts';
import { Roles, type RolesRaft } from './roles.ts';

/** The group as roles/ sees it: changes are done at once, everybody has caught up. */
class FakeGroup implements RolesRaft {
  readonly identity = { clusterId: 'c', epoch: 3, nodeId: 'a', raftId: 1, format: 1 } as const;
  readonly directory = { all: () => [], get: () => undefined } as unknown as RolesRaft['directory'];
  readonly changes: string[] = [];
  voters = [1];
  learners: number[] = [];
  leaderTerm = 1;
  handOvers = 0;

  confState(): ConfState {
    const { voters, learners } = this;
    return { voters, learners, votersOutgoing: [], learnersNext: [], autoLeave: false };
  }
  progress() {
    return { match: 10, lastIndex: 10, isActive: true, replicates: true };
  }
  leader() {
    return undefined;
  }
  async proposeConfChange({ kind, peer }: MemberChange): Promise<void> {
    this.changes.push(`${kind} ${peer.raftId}`);
    const without = (ids: number[]) => ids.filter((id) => id !== peer.raftId);
    this.voters = without(this.voters);
    this.learners = without(this.learners);
    if (kind === 'add-learner') this.learners.push(peer.raftId);
    if (kind === 'add-voter') this.voters.push(peer.raftId);
  }
  async transferLeadership(): Promise<void> {
    this.handOvers++;
    this.leaderTerm = 0;
  }
}

async function world() {
  const clock = new ManualClock();
  const store = new LocalStore({ clock, ids: new SeededIds(new SeededRandom(1)) });
  const group = new FakeGroup();
  const roles = new Roles({
    clock,
    log: silentLog,
    store,
    raft: group,
    probe: async (address) => (address.startsWith('b') ? 'open' : 'refused'),
    setCertificateRole: (id, role) =>
      store.put('certificate', 'ca', Certificate.create({ id, role })),
  });
  await store.put('node', 'users', Node.create({ id: 'a', role: Role.MANAGER, name: 'a' }));
  await store.put('node', 'users', Node.create({ id: 'b', role: Role.WORKER, name: 'b' }));
  await store.put('certificate', 'ca', Certificate.create({ id: 'a', role: Role.MANAGER }));
  await store.put('certificate', 'ca', Certificate.create({ id: 'b', role: Role.WORKER }));
  const own = { id: 'a', raftId: 1, address: 'a:1', role: Role.MANAGER, phase: 'voter' };
  await store.put('member', 'roles', Member.create(own));
  roles.gained(1);
  const settle = async () => {
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  };
  const member = (id: string) => store.view.table('member').get(id);
  const setRole = (id: string, role: Role) =>
    store.put('node', 'users', Node.create({ id, role, name: id }));
  const call = (nodeId: string) => {
    return { peer: { kind: 'node', nodeId, role: Role.MANAGER, clusterId: 'c' } } as CallContext;
  };
  return { clock, store, group, roles, settle, member, setRole, call };
}

const JOIN = { nodeId: 'b', raftId: 2, address: 'b:1', damage: '', epoch: 0 };

describe('roles', () => {
  test('a promoted node becomes a voter when it comes with its raft id', async () => {
    const { store, group, roles, settle, member, setRole, call } = await world();
    await setRole('b', Role.MANAGER);
    await settle();
    assert.equal(member('b')?.phase, 'certificate');
    assert.equal(store.view.table('certificate').get('b')?.role, Role.MANAGER);
    const answer = await roles.join(JOIN, call('b'));
    assert.deepEqual([answer.clusterId, answer.epoch, answer.raftId], ['c', 3, 2]);
    assert.deepEqual(answer.peers.map((peer) => peer.raftId).sort(), [1, 2]);
    await settle();
    assert.deepEqual(group.changes, ['add-learner 2', 'add-voter 2']);
    assert.equal(member('b')?.phase, 'voter');
    assert.equal(member('b')?.role, Role.MANAGER);
  });

  test('a demoted node goes out of the group, then its row, then its certificate', async () => {
    const { store, group, roles, settle, member, setRole, call } = await world();
    await setRole('b', Role.MANAGER);
    await settle();
    await roles.join(JOIN, call('b'));
    await settle();
    await setRole('b', Role.WORKER);
    await settle();
    assert.equal(group.changes.at(-1), 'remove 2');
    assert.equal(member('b'), undefined);
    assert.equal(store.view.table('removedMember').get('2')?.nodeId, 'b');
    assert.equal(store.view.table('certificate').get('b')?.role, Role.WORKER);
  });

  test('the last manager stays, and its row says why', async () => {
    const { group, settle, member, setRole } = await world();
    await setRole('a', Role.WORKER);
    await settle();
    assert.deepEqual(group.changes, []);
    assert.equal(member('a')?.message, 'it is the last manager');
  });

  test('a leader that is demoted hands over', async () => {
    const { group, roles, settle, setRole, call } = await world();
    await setRole('b', Role.MANAGER);
    await settle();
    await roles.join(JOIN, call('b'));
    await settle();
    group.transferLeadership = async () => {
      group.handOvers++;
      roles.lost();
    };
    await setRole('a', Role.WORKER);
    await settle();
    assert.equal(group.handOvers, 1);
    assert.equal(group.changes.includes('remove 1'), false);
  });

  test('a member of an epoch that has ended is told that it is none any more', async () => {
    const { roles, settle, setRole, call } = await world();
    await setRole('b', Role.MANAGER);
    await settle();
    await assert.rejects(roles.join({ ...JOIN, epoch: 2 }, call('b')), { code: 'REMOVED' });
    const newer = roles.join({ ...JOIN, epoch: 4 }, call('b'));
    await assert.rejects(newer, { code: 'FORBIDDEN' }, 'nobody of the past ends a newer member');
    assert.equal((await roles.join({ ...JOIN, epoch: 3 }, call('b'))).epoch, 3);
  });

  test('who was not promoted cannot join', async () => {
    const { roles, call } = await world();
    await assert.rejects(roles.join(JOIN, call('b')), { code: 'PRECONDITION' });
  });

  test('a node cannot join for another, nor from where nobody reaches it', async () => {
    const { roles, settle, setRole, call } = await world();
    await setRole('b', Role.MANAGER);
    await settle();
    await assert.rejects(roles.join(JOIN, call('a')), { code: 'FORBIDDEN' });
    const elsewhere = { ...JOIN, address: 'x:1' };
    await assert.rejects(roles.join(elsewhere, call('b')), { code: 'UNREACHABLE' });
  });

  test('a removed raft id is refused for ever', async () => {
    const { store, roles, settle, setRole, call } = await world();
    await setRole('b', Role.MANAGER);
    await settle();
    await roles.join(JOIN, call('b'));
    await settle();
    await setRole('b', Role.WORKER);
    await settle();
    await setRole('b', Role.MANAGER);
    await settle();
    assert.ok(store.view.table('removedMember').has('2'));
    await assert.rejects(roles.join(JOIN, call('b')), { code: 'REMOVED' });
  });

  test('a member whose state is damaged says so until it votes again, also while nobody reaches it', async () => {
    const { store, group, roles, settle, member, setRole, call } = await world();
    const events: string[] = [];
    store.onApplied((entry) => {
      for (const { table, after } of entry.changes)
        if (table === 'event') events.push(...(after as EventRow).events.map((e) => e.action));
    });
    await setRole('b', Role.MANAGER);
    await settle();
    await roles.join(JOIN, call('b'));
    await settle();
    const again = { nodeId: 'b', raftId: 22, address: 'x:1', damage: 'a broken chain', epoch: 0 };
    await assert.rejects(roles.join(again, call('b')), { code: 'UNREACHABLE' });
    assert.deepEqual([member('b')?.damage, member('b')?.raftId], ['a broken chain', 2]);
    assert.ok(events.includes('damaged'));
    const hold = group.proposeConfChange;
    group.proposeConfChange = async (change) => {
      assert.equal(member('b')?.damage, 'a broken chain');
      return hold.call(group, change);
    };
    await roles.join({ ...again, address: 'b:1' }, call('b'));
    await settle();
    assert.deepEqual([member('b')?.phase, member('b')?.raftId], ['voter', 22]);
    assert.equal(member('b')?.damage, '');
  });

  test('a step that failed is taken again', async () => {
    const { clock, group, roles, settle, member, setRole, call } = await world();
    await setRole('b', Role.MANAGER);
    await settle();
    const change = group.proposeConfChange.bind(group);
    let failures = 1;
    group.proposeConfChange = async (wanted) => {
      if (wanted.kind === 'add-voter' && failures-- > 0) throw new SwarmError('DROPPED', 'not now');
      return change(wanted);
    };
    await roles.join(JOIN, call('b'));
    await settle();
    assert.equal(member('b')?.phase, 'learner');
    clock.advance(1_000);
    await settle();
    assert.equal(member('b')?.phase, 'voter');
  });

  test('a new leader goes on where the old one stopped', async () => {
    const { group, roles, settle, member, setRole, call } = await world();
    await setRole('b', Role.MANAGER);
    await settle();
    await roles.join(JOIN, call('b'));
    roles.lost();
    await settle();
    assert.equal(member('b')?.phase, 'learner');
    roles.gained(2);
    await settle();
    assert.equal(member('b')?.phase, 'voter');
    assert.deepEqual(group.voters, [1, 2]);
  });
});
