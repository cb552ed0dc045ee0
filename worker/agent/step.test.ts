import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { TaskState } from '../../proto/index.ts';
import type { Exit } from '../runtime.ts';
import { type Action, type StepInput, step } from './step.ts';

const READY: StepInput = {
  state: TaskState.READY,
  desired: TaskState.RUNNING,
  removed: false,
  endAs: TaskState.NEW,
  endMessage: '',
  running: false,
  healthy: true,
  exit: undefined,
  committed: false,
};

function exit(code: number, patch: Partial<Exit> = {}): Exit {
  return { code, signal: '', oom: false, atWallMs: 0, message: 'ended', lost: false, ...patch };
}
function next(patch: Partial<StepInput>): Action {
  return step({ ...READY, ...patch });
}

describe('a step of a task', () => {
  it('leads from order to RUNNING', () => {
    assert.deepEqual(next({ state: TaskState.ASSIGNED }), {
      do: 'enter',
      state: TaskState.ACCEPTED,
    });
    assert.deepEqual(next({ state: TaskState.ACCEPTED }), {
      do: 'enter',
      state: TaskState.PREPARING,
    });
    assert.deepEqual(next({ state: TaskState.PREPARING }), { do: 'prepare' });
    assert.deepEqual(next({}), { do: 'enter', state: TaskState.STARTING });
    assert.deepEqual(next({ state: TaskState.STARTING }), { do: 'start' });
    const started = { state: TaskState.STARTING, running: true };
    assert.deepEqual(next(started), { do: 'enter', state: TaskState.RUNNING });
  });
  it('waits at READY where it is not ordered to run yet', () => {
    assert.deepEqual(next({ desired: TaskState.READY }), { do: 'rest' });
  });
  it('stays STARTING while it is not healthy', () => {
    const input = { state: TaskState.STARTING, running: true, healthy: false };
    assert.deepEqual(next(input), { do: 'watch' });
  });
  it('asks for a running task again after a restart of the daemon', () => {
    assert.deepEqual(next({ state: TaskState.RUNNING }), { do: 'start' });
    assert.deepEqual(next({ state: TaskState.RUNNING, running: true }), { do: 'watch' });
  });
  it('ends as COMPLETE at exit 0 and as FAILED at others', () => {
    const ended = (end: Exit) => next({ state: TaskState.RUNNING, running: true, exit: end });
    assert.equal((ended(exit(0)) as { state: TaskState }).state, TaskState.COMPLETE);
    assert.equal((ended(exit(1)) as { state: TaskState }).state, TaskState.FAILED);
    assert.equal((ended(exit(0, { lost: true })) as { state: TaskState }).state, TaskState.FAILED);
  });
  it('stops what has started, and just ends what has not', () => {
    const desired = TaskState.SHUTDOWN;
    assert.deepEqual(next({ state: TaskState.RUNNING, running: true, desired }), { do: 'stop' });
    assert.deepEqual(next({ state: TaskState.STARTING, desired }), { do: 'stop' });
    assert.equal(next({ desired }).do, 'end');
  });
  it('ends as the agent itself decided, with its reason', () => {
    const sick = { endAs: TaskState.FAILED, endMessage: 'unhealthy', exit: exit(143) };
    assert.deepEqual(next({ state: TaskState.RUNNING, ...sick }), {
      do: 'end',
      state: TaskState.FAILED,
      message: 'unhealthy',
    });
  });
  it('forgets a task only when its end is committed and no manager wants it', () => {
    const failed = { state: TaskState.FAILED };
    assert.deepEqual(next({ ...failed, removed: true }), { do: 'rest' });
    assert.deepEqual(next({ ...failed, committed: true }), { do: 'rest' });
    assert.deepEqual(next({ ...failed, removed: true, committed: true }), { do: 'forget' });
    const remove = { desired: TaskState.REMOVE, committed: true };
    assert.deepEqual(next({ ...failed, ...remove }), { do: 'forget' });
  });
  it('never goes down and never leaves a final state', () => {
    const state = fc.constantFrom(...Object.values(TaskState));
    const input = fc.record({
      state,
      desired: state,
      removed: fc.boolean(),
      endAs: fc.constantFrom(TaskState.NEW, TaskState.FAILED, TaskState.SHUTDOWN),
      endMessage: fc.constant(''),
      running: fc.boolean(),
      healthy: fc.boolean(),
      exit: fc.option(
        fc.nat(255).map((code) => exit(code)),
        { nil: undefined },
      ),
      committed: fc.boolean(),
    });
    fc.assert(
      fc.property(input, (given) => {
        const action = step(given);
        const rises =
          action.do !== 'enter' && action.do !== 'end' ? true : action.state > given.state;
        const final = given.state >= TaskState.COMPLETE;
        return rises && (!final || action.do === 'rest' || action.do === 'forget');
      }),
    );
  });
});
