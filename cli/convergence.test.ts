import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Init, RolloutState, ServiceProgress, TaskState } from '../proto/index.ts';
import { ManualClock } from '../shared/clock.ts';
import { Judge } from './convergence.ts';

function aJudge() {
  const clock = new ManualClock();
  let given = 0;
  const judge = new Judge(clock, () => given++);
  const see = (init: Init<ServiceProgress>, removal = false) =>
    judge.judge(ServiceProgress.create(init), removal);
  return { clock, judge, see, gaveUp: () => given };
}
const task = (id: string, state: TaskState, message = '') => ({
  id,
  slot: 1,
  state,
  message,
  wishedRevision: true,
});

test('a converged service whose ports are listened on ends the wait', () => {
  const { see } = aJudge();
  assert.equal(see({ converged: false }), 'again');
  assert.equal(see({ converged: true, published: true }), 'converged');
});

test('a paused update ends the wait with its message', () => {
  const { see, judge } = aJudge();
  assert.equal(see({ failed: true, message: 'update paused' }), 'failed');
  assert.equal(judge.reason, 'update paused');
});

test('a removal ends with the rows, whatever its tasks do', () => {
  const { see } = aJudge();
  for (let i = 0; i < 9; i++)
    assert.equal(see({ tasks: [task(`t${i}`, TaskState.FAILED)] }, true), 'again');
  assert.equal(see({ removed: true }, true), 'converged');
});

test('a service that somebody removes meanwhile has not converged', () => {
  const { see } = aJudge();
  assert.equal(see({ removed: true }), 'failed');
});

test('a node that cannot listen ends the wait only when no other says that it does', () => {
  const failures = [{ port: 8080, reason: 'alpha: taken by nginx' }];
  const one = aJudge();
  assert.equal(one.see({ converged: true, listenFailures: failures }), 'again');
  assert.equal(
    one.see({ converged: true, published: true, listenFailures: failures }),
    'converged',
  );
  const none = aJudge();
  none.see({ converged: true, listenFailures: failures });
  none.clock.advance(3_000);
  assert.equal(none.gaveUp(), 1);
  assert.match(none.judge.reason, /port 8080: alpha: taken by nginx/);
});

test('the deadline begins anew with each task more that is up, not with restarts', () => {
  const { see, clock, gaveUp, judge } = aJudge();
  see({ tasks: [task('a', TaskState.STARTING)] });
  clock.advance(599_000);
  see({ tasks: [task('a', TaskState.RUNNING)] });
  clock.advance(599_000);
  assert.equal(gaveUp(), 0);
  see({ tasks: [task('b', TaskState.RUNNING)] });
  clock.advance(1_000);
  assert.equal(gaveUp(), 1);
  assert.match(judge.reason, /no progress for 10m/);
});

test('a slot whose tasks end again and again is not waited for', () => {
  const { see, judge } = aJudge();
  const ended = (...ids: string[]) => ({
    ...task(`after ${ids.at(-1)}`, TaskState.READY),
    ended: ids.map((id) => ({ id, message: 'exit code 1' })),
  });
  assert.equal(see({ tasks: [ended('long', 'ago')] }), 'again');
  assert.equal(see({ tasks: [ended('ago', 't1', 't2')] }), 'again');
  assert.equal(see({ tasks: [ended('t1', 't2', 't3', 't4')] }), 'again');
  assert.equal(see({ tasks: [ended('t2', 't3', 't4', 't5')] }), 'failed');
  assert.match(judge.reason, /^Its task 1 ended 5 times: exit code 1\./);
});

test('tasks that run but have not settled yet are waited for', () => {
  const { see } = aJudge();
  assert.equal(see({ settleLeftMs: 400, published: true }), 'again');
  assert.equal(see({ converged: true, published: true }), 'converged');
});

test('nodes that have not told of their ports yet are waited for, then named', () => {
  const { see, clock, gaveUp, judge } = aJudge();
  assert.equal(see({ converged: true, published: true, behind: ['w1'] }), 'again');
  assert.equal(see({ converged: true, published: true }), 'converged');
  assert.equal(see({ converged: true, published: true, behind: ['w1'] }), 'again');
  clock.advance(9_999);
  assert.equal(gaveUp(), 0);
  clock.advance(1);
  assert.deepEqual([gaveUp(), judge.silent, judge.gaveUp], [1, ['w1'], false]);
});

test('where the others cannot listen, a node that tells nothing is waited for, and named', () => {
  const { see, clock, gaveUp, judge } = aJudge();
  const listenFailures = [{ port: 8080, reason: 'alpha: taken by nginx' }];
  see({ converged: true, listenFailures, behind: ['w1'] });
  clock.advance(9_999);
  assert.equal(gaveUp(), 0, 'it may still tell that it listens');
  clock.advance(1);
  assert.equal(judge.gaveUp, true);
  assert.match(judge.reason, /port 8080: alpha: taken by nginx\n {2}w1 has not told yet/);
});

test('the deadline for ports does not run while tasks are missing', () => {
  const { see, clock, gaveUp } = aJudge();
  see({ converged: true, published: true, behind: ['w1'] });
  see({ tasks: [task('a', TaskState.STARTING)] });
  clock.advance(10_000);
  assert.equal(gaveUp(), 0);
});

test('a rollout that begins after the first look is waited for as long', () => {
  const { see, clock, gaveUp } = aJudge();
  const spec = { update: { progressDeadlineMs: 1_000, monitorMs: 500 } };
  see({ service: { service: { spec } } });
  clock.advance(100);
  see({ service: { service: { spec }, state: { rollout: { state: RolloutState.UPDATING } } } });
  clock.advance(11_499);
  assert.equal(gaveUp(), 0);
  clock.advance(1);
  assert.equal(gaveUp(), 1);
});

test('in a rollout the cluster decides first', () => {
  const { see, clock, gaveUp } = aJudge();
  const rollout = { state: RolloutState.UPDATING };
  const spec = { update: { progressDeadlineMs: 1_000, monitorMs: 500 } };
  see({ service: { service: { spec }, state: { rollout } } });
  clock.advance(11_499);
  assert.equal(gaveUp(), 0);
  clock.advance(1);
  assert.equal(gaveUp(), 1);
});
