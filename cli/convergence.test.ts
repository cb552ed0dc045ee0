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

test('a task that fails again and again is not waited for', () => {
  const { see, judge } = aJudge();
  for (let i = 1; i < 5; i++)
    assert.equal(see({ tasks: [task(`t${i}`, TaskState.FAILED, 'exit code 1')] }), 'again');
  assert.equal(see({ tasks: [task('t4', TaskState.FAILED)] }), 'again');
  assert.equal(see({ tasks: [task('t5', TaskState.FAILED, 'exit code 1')] }), 'failed');
  assert.match(judge.reason, /failed 5 times: exit code 1/);
});

test('nodes that do not pass connections on yet are waited for, but not for ever', () => {
  const { see, clock, gaveUp, judge } = aJudge();
  assert.equal(see({ converged: true, published: true, behind: ['w1'] }), 'again');
  assert.equal(see({ converged: true, published: true }), 'converged');
  assert.equal(see({ converged: true, published: true, behind: ['w1'] }), 'again');
  clock.advance(3_000);
  assert.deepEqual([gaveUp(), judge.late, judge.gaveUp], [1, true, false]);
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
