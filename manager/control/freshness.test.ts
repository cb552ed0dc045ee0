import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Freshness, ListRequest, Ref } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { context, Fixture } from './control.fixture.ts';

const list = (at: Fixture, consistency: 'linearizable' | 'stale' = 'linearizable') =>
  at.control.listServices(ListRequest.create(), context({ consistency }));

test('a read waits for its read index', async () => {
  const at = new Fixture();
  let release: (value: Freshness) => void = () => undefined;
  at.linearize = () => new Promise((resolve) => (release = resolve));
  const answer = list(at);
  await at.create({});
  release(Freshness.create());
  const { services, freshness } = await answer;
  assert.deepEqual([services.length, freshness!.stale], [1, false]);
});

test('a read that may be stale asks nobody', async () => {
  const at = new Fixture();
  await at.create({});
  at.linearize = () => Promise.reject(new Error('not asked'));
  const { freshness } = await list(at, 'stale');
  assert.deepEqual([freshness!.stale, freshness!.reason], [true, 'asked for']);
});

test('without a leader for its time a read is answered as of when the state was current', async () => {
  const at = new Fixture();
  await list(at);
  const lastMs = at.clock.wallMs();
  at.clock.advance(10_000);
  await at.create({});
  at.clock.advance(1_000);
  at.linearize = () => new Promise(() => undefined);
  at.leaderlessMs = 400;
  const answer = list(at);
  at.clock.advance(at.leaderlessMs);
  await new Promise(setImmediate);
  at.clock.advance(at.leaderlessMs);
  const { freshness, services } = await answer;
  assert.equal(freshness!.stale, true);
  assert.equal(services.length, 1);
  assert.equal(freshness!.asOfWallMs, lastMs + 10_000);
});

test('an idle cluster was current when it was last read, not when it was last written', async () => {
  const at = new Fixture();
  await at.create({});
  at.clock.advance(60_000);
  await list(at);
  const lastMs = at.clock.wallMs();
  at.clock.advance(5_000);
  const { freshness } = await list(at, 'stale');
  assert.equal(freshness!.asOfWallMs, lastMs);
});

test('a manager that was never current since its start is as of its newest entry', async () => {
  const at = new Fixture();
  await at.create({});
  const writtenMs = at.clock.wallMs();
  at.clock.advance(60_000);
  const { freshness } = await list(at, 'stale');
  assert.deepEqual([freshness!.stale, freshness!.asOfWallMs], [true, writtenMs]);
});

test('a state was current when a leader was asked, not when the answer came', async () => {
  const at = new Fixture();
  await at.create({});
  at.clock.advance(1_000);
  const askedMs = at.clock.wallMs();
  let release: (value: Freshness) => void = () => undefined;
  at.linearize = () => new Promise((resolve) => (release = resolve));
  const answer = list(at);
  at.clock.advance(300);
  release(Freshness.create());
  await answer;
  assert.equal((await list(at, 'stale')).freshness!.asOfWallMs, askedMs);
});

test('a follower that hears nobody is no more current than its newest entry', async () => {
  const at = new Fixture();
  await list(at);
  at.clock.advance(1_000);
  await at.create({});
  const writtenMs = at.clock.wallMs();
  // Time of the cluster stands still where nobody leads.
  at.store.lost();
  at.clock.advance(60_000);
  const { freshness } = await list(at, 'stale');
  assert.equal(freshness!.asOfWallMs, writtenMs);
});

test('a manager that has no state yet does not answer as if the cluster were empty', async () => {
  const at = new Fixture();
  await assert.rejects(list(at, 'stale'), { code: 'NO_QUORUM', message: /not received the state/ });
});

test('what a stale state does not hold is said to be missing there, no more', async () => {
  const at = new Fixture();
  await at.create({});
  const get = (consistency: 'linearizable' | 'stale') =>
    at.control.getService(Ref.create({ ref: 'new' }), context({ consistency }));
  await assert.rejects(get('linearizable'), { code: 'NOT_FOUND', message: /"new"$/ });
  const stale = /"new" in a state that is stale, as of .* \(asked for\)$/;
  await assert.rejects(get('stale'), { code: 'NOT_FOUND', message: stale });
});

test('a read that fails is tried again until there is a leader', async () => {
  const at = new Fixture();
  let left = 2;
  at.linearize = async () => {
    if (left-- > 0) throw new Error('no leader');
    return Freshness.create();
  };
  const answer = list(at);
  for (let i = 0; i < 5; i++) {
    await new Promise(setImmediate);
    at.clock.advance(100);
  }
  assert.equal((await answer).freshness!.stale, false);
});

test('a leader that is heard is waited for: its follower may have just started', async () => {
  const at = new Fixture();
  await at.create({});
  at.hearsLeader = true;
  let isCurrent = false;
  at.linearize = async () => {
    if (!isCurrent) throw new Error('catching up');
    return Freshness.create();
  };
  const answer = list(at);
  for (let passedMs = 0; passedMs < 3 * at.leaderlessMs; passedMs += 100) {
    await new Promise(setImmediate);
    at.clock.advance(100);
  }
  isCurrent = true;
  await new Promise(setImmediate);
  at.clock.advance(100);
  assert.equal((await answer).freshness!.stale, false);
});

test('a leader that is heard and confirms nothing is not waited for without an end', async () => {
  const at = new Fixture();
  await at.create({});
  at.hearsLeader = true;
  at.linearize = () => new Promise(() => undefined);
  const answer = list(at);
  for (let passedMs = 0; passedMs <= LIMITS.readWithoutLeaderMaxMs; passedMs += 100) {
    await new Promise(setImmediate);
    at.clock.advance(100);
  }
  assert.equal((await answer).freshness!.stale, true);
});

test('who reads again while nobody leads does not wait again', async () => {
  const at = new Fixture();
  await at.create({});
  let tries = 0;
  at.linearize = async () => {
    tries++;
    throw new Error('no leader');
  };
  const first = list(at);
  for (let passedMs = 0; passedMs <= at.leaderlessMs; passedMs += 100) {
    await new Promise(setImmediate);
    at.clock.advance(100);
  }
  assert.equal((await first).freshness!.stale, true);
  tries = 0;
  const second = list(at);
  await new Promise(setImmediate);
  at.clock.advance(1);
  assert.equal((await second).freshness!.stale, true);
  assert.equal(tries, 1);
});
