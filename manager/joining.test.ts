import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '../shared/clock.ts';
import { type ErrorCode, SwarmError } from '../shared/errors.ts';
import { silentLog } from '../shared/log.ts';
import { SeededRandom } from '../shared/random.ts';
import type { Client } from '../shared/rpc/rpc.ts';
import { askManagers, type JoiningDeps, joinManagers, MembershipWatch } from './joining.ts';

/** Managers by address: what each answers, or the code that it refuses with. */
function world(answers: { readonly [address: string]: ErrorCode | 'taken in' }, leader = '') {
  const clock = new ManualClock();
  const asked: string[] = [];
  const dial = (address: string): Client => {
    const unary = async () => {
      asked.push(address);
      const answer = answers[address] ?? 'UNREACHABLE';
      if (answer === 'taken in') return { raftId: 7, clusterId: 'c', epoch: 1, peers: [] };
      throw new SwarmError(answer, 'no', { details: answer === 'NOT_LEADER' ? { leader } : {} });
    };
    return { address, unary, close: () => undefined } as unknown as Client;
  };
  const names = { nodeId: 'n', clusterId: 'c', address: 'self' };
  const managers = () => Object.keys(answers);
  const random = new SeededRandom(1);
  const deps: JoiningDeps = { clock, random, log: silentLog, ...names, managers, dial };
  const settle = async () => {
    for (let i = 0; i < 5; i++) await new Promise(setImmediate);
  };
  return { clock, asked, deps, settle };
}

const alone = {
  identity: { raftId: 7, epoch: 1 },
  hasLeader: false,
  find: (_addresses: readonly string[]) => Promise.resolve(),
};

test('who does not lead names the leader, and nobody is asked twice', async () => {
  const { asked, deps } = world({ a: 'NOT_LEADER', b: 'NOT_LEADER', c: 'taken in' }, 'c');
  const answer = await askManagers(
    { nodeId: 'n', raftId: 7, address: 'self', damage: '', epoch: 1 },
    deps,
  );
  assert.equal(answer.raftId, 7);
  assert.deepEqual(asked, ['a', 'c']);
});

test('what the leader says is not asked of others', async () => {
  const { asked, deps } = world({ a: 'NOT_LEADER', b: 'REMOVED', c: 'NOT_LEADER' });
  const request = { nodeId: 'n', raftId: 7, address: 'self', damage: '', epoch: 1 };
  await assert.rejects(askManagers(request, deps), { code: 'REMOVED' });
  assert.deepEqual(asked, ['a', 'b']);
});

test('an id that was in and out again before its node heard of it is not tried again', async () => {
  const { clock, deps, settle } = world({ a: 'REMOVED' });
  const ids = new Set<number>();
  const dial: JoiningDeps['dial'] = (address) => {
    const client = deps.dial(address);
    const unary: Client['unary'] = (method, request, options) => {
      ids.add((request as { raftId: number }).raftId);
      return client.unary(method, request, options);
    };
    return { ...client, unary };
  };
  const stop = new AbortController();
  const state = {} as Parameters<typeof joinManagers>[3];
  const joining = joinManagers('d', '', { ...deps, dial }, state, () => undefined, stop.signal);
  for (let i = 0; i < 3; i++) {
    await settle();
    clock.advance(3_000);
  }
  stop.abort();
  clock.advance(3_000);
  await assert.rejects(joining, { code: 'UNREACHABLE' });
  assert.ok(ids.size >= 3);
});

describe('a member that hears no leader', () => {
  test('asks after a while whether it still is one, and hears that it is not', async () => {
    const { clock, asked, deps, settle } = world({ a: 'REMOVED' });
    let removed = 0;
    new MembershipWatch(alone, deps, () => removed++);
    clock.advance(5_000);
    await settle();
    assert.deepEqual([asked, removed], [[], 0]);
    clock.advance(5_000);
    await settle();
    assert.deepEqual([asked, removed], [['a'], 1]);
    clock.advance(60_000);
    await settle();
    assert.equal(removed, 1, 'told once');
  });

  test('looks for the others where managers are said to be, itself left out', async () => {
    const { clock, deps, settle } = world({ a: 'NO_QUORUM' });
    const looked: (readonly string[])[] = [];
    const find = async (addresses: readonly string[]) => void looked.push(addresses);
    const managers = () => ['moved:1', deps.address];
    const watch = new MembershipWatch({ ...alone, find }, { ...deps, managers }, () => undefined);
    clock.advance(5_000);
    await settle();
    assert.deepEqual(looked, [], 'an election may be under way');
    clock.advance(5_000);
    await settle();
    assert.deepEqual(looked, [['moved:1']]);
    watch.stop();
  });

  test('asks again as long as nobody says so', async () => {
    const { clock, asked, deps, settle } = world({ a: 'NO_QUORUM' });
    const watch = new MembershipWatch(alone, deps, () => assert.fail('it was not removed'));
    for (let i = 0; i < 4; i++) {
      clock.advance(5_000);
      await settle();
    }
    assert.equal(asked.length, 3);
    watch.stop();
    clock.advance(60_000);
    await settle();
    assert.equal(asked.length, 3);
  });

  test('asks nobody once it hears one', async () => {
    const { clock, asked, deps, settle } = world({ a: 'REMOVED' });
    const one = { ...alone };
    new MembershipWatch(one, deps, () => assert.fail('it was not removed'));
    for (const hasLeader of [false, true, false, true, true]) {
      one.hasLeader = hasLeader;
      clock.advance(5_000);
      await settle();
    }
    assert.deepEqual(asked, []);
  });
});
