import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { RolloutState, TaskState, type TaskView } from '../../../proto/index.ts';
import { ordinaryUser, type Person, whoRuns } from '../../support/people.ts';
import { persons, Stage } from '../../support/stage.ts';

const SLEEP = ['--process', 'sleep', '1000'];
/** A failure counts within it; the last batch is watched that long as well. */
const MONITOR = ['--update-monitor', '300ms'];
/** Tasks of a service whose BROKEN holds their slot end at once. */
const MAY_BREAK = 'case " $BROKEN " in *" $SWARM_TASK_SLOT "*) exit 9;; esac; sleep 1000';

for (const person of persons(ordinaryUser))
  describe(`updates of ${person.name}`, () => updates(person));

function updates(person: Person): void {
  let at: Stage;
  before(async () => {
    at = await Stage.up(person, 1, 2);
  });
  afterEach(() => at?.clean());
  after(() => at?.down());

  /** What only the manager decides is the same for everybody: tried once. */
  const once = person.uid === whoRuns().uid ? test : () => undefined;
  const breakable = (...words: string[]): Promise<void> =>
    at.mustCreate('web', ...MONITOR, ...words, '--process', 'sh', '-c', MAY_BREAK);
  const rollout = async () => (await at.api.service('web')).state!.rollout;
  /** Revisions of the tasks that run. */
  const revisions = async (): Promise<number[]> =>
    (await at.api.running('web')).map((task) => task.task!.revision).sort();

  /** How many tasks ran at the same time, at least and at most, while `work` was done. */
  async function watched(work: Promise<unknown>): Promise<{ least: number; most: number }> {
    let [least, most, done] = [Number.POSITIVE_INFINITY, 0, false];
    const end = work.finally(() => {
      done = true;
    });
    while (!done) {
      const count = (await at.api.running('web')).length;
      [least, most] = [Math.min(least, count), Math.max(most, count)];
    }
    await end;
    return { least, most };
  }

  test('stop-first never has more tasks than replicas, start-first never fewer', async () => {
    const many = ['--replicas', '4', '--update-parallelism', '2', ...MONITOR];
    await at.mustCreate('web', ...many, ...SLEEP);
    const first = await watched(at.update('web', '-q', '-e', 'V=2'));
    assert.ok(first.most <= 4 && first.least >= 2, JSON.stringify(first));
    const start = ['--update-order', 'start-first', '-e', 'V=3'];
    const second = await watched(at.update('web', '-q', ...start));
    assert.ok(second.most <= 6 && second.least >= 4, JSON.stringify(second));
    assert.deepEqual(await revisions(), [3, 3, 3, 3]);
  });

  once('batches have the parallelism and the delay that were asked for', async () => {
    const slow = ['--update-parallelism', '2', '--update-delay', '700ms', ...MONITOR];
    await at.mustCreate('web', '--replicas', '4', ...slow, ...SLEEP);
    const ran = await at.update('web', '-e', 'V=2');
    assert.equal(ran.code, 0, ran.stderr);
    const born = (await at.api.running('web'))
      .map((task) => task.task!.createdMs)
      .sort((a, b) => a - b);
    const [inBatch, between] = [born[1]! - born[0]!, born[2]! - born[1]!];
    assert.ok(between >= 700 && inBatch < between, `two, then the delay: ${born}`);
  });

  test('a failure pauses the update: the others run on, and why says so', async () => {
    await breakable('--replicas', '3');
    const ran = await at.update('web', '-e', 'BROKEN=1 2 3');
    assert.equal(ran.code, 1);
    assert.match(
      ran.stderr,
      /Service web has not converged\.\n.*the update of web to revision 2 is paused/,
    );
    assert.match(ran.stderr, /swarm service rollback web/);
    assert.equal((await rollout())!.state, RolloutState.PAUSED);
    assert.ok((await revisions()).includes(1), 'not all were replaced');
    const [reason] = await at.why('web');
    assert.equal(reason!.Code, 'update-paused');
    const mended = await at.update('web', '-e', 'BROKEN=');
    assert.equal(mended.code, 0, mended.stderr);
    assert.deepEqual(await revisions(), [3, 3, 3]);
  });

  test('a failure rolls back by itself where that is wished, and the command says so', async () => {
    await breakable('--replicas', '3', '--update-failure-action', 'rollback');
    const ran = await at.update('web', '--rollback-monitor', '100ms', '-e', 'BROKEN=1 2 3');
    assert.equal(ran.code, 1);
    assert.match(ran.stderr, /the update of web failed: revision 1 runs again/);
    assert.equal((await rollout())!.state, RolloutState.ROLLBACK_COMPLETED);
    const envs = (await at.api.service('web')).service!.spec!.task!.process!.env;
    assert.deepEqual(envs, ['BROKEN=1 2 3'], 'the wish is still the user’s');
    await at.api.untilRunning('web', 3);
    assert.deepEqual(await revisions(), [1, 1, 1]);
  });

  once('with continue the update goes on to the last task', async () => {
    const go = ['--update-failure-action', 'continue', '--restart-delay', '100ms'];
    await breakable('--replicas', '3', ...go);
    await at.update('web', '-d', '-e', 'BROKEN=1');
    const tasks = await at.untilTasks('web', (all) => newest(all).every((one) => one === 2));
    assert.ok(tasks.some((task) => task.state === TaskState.FAILED));
    await at.api.untilRunning('web', 2, (all) => all.every((task) => task.task!.slot !== 1));
  });

  once('failures up to the ratio are borne', async () => {
    const words = ['--update-max-failure-ratio', '0.4', '--restart-condition', 'none'];
    await breakable('--replicas', '3', '--update-parallelism', '1', ...words);
    await at.update('web', '-d', '-e', 'BROKEN=2');
    await at.api.untilRunning('web', 2, (all) => all.every((task) => task.task!.revision === 2));
    await at.untilTasks('web', (all) => newest(all).every((one) => one === 2));
    assert.notEqual((await rollout())!.state, RolloutState.PAUSED);
    await at.update('web', '-d', '-e', 'BROKEN=1 2 3');
    await at.untilTasks('web', (all) => all.some((task) => task.task!.revision === 3));
    for (;;) if ((await rollout())!.state === RolloutState.PAUSED) break;
  });

  once('a new task that never gets to run fails after the progress deadline', async () => {
    const words = ['--update-progress-deadline', '1s', '--health-interval', '100ms'];
    await breakable('--replicas', '2', ...words, '--health-cmd', 'true');
    const ran = await at.update('web', '--health-cmd', 'false', '--health-start-period', '1m');
    assert.equal(ran.code, 1, ran.stdout);
    assert.match(ran.stderr, /the update of web to revision 2 is paused/);
    assert.ok((await revisions()).includes(1), 'the other one runs on');
  });

  test('history lists the revisions, and rollback goes back to any of them', async () => {
    await at.mustCreate('web', ...MONITOR, '--rollback-monitor', '100ms', ...SLEEP);
    for (const version of [2, 3, 4])
      assert.equal((await at.update('web', '-q', '-e', `V=${version}`)).code, 0);
    const history = await at.must(['service', 'history', 'web']);
    assert.deepEqual(
      history
        .split('\n')
        .slice(1, -1)
        .map((line) => line.slice(0, 3).trim()),
      ['4 *', '3', '2', '1'],
    );
    const env = async () => (await at.api.service('web')).service!.spec!.task!.process!.env;
    const back = await at.try(['service', 'rollback', '--to', '2', 'web']);
    assert.equal(back.code, 0, back.stderr);
    assert.deepEqual(await env(), ['V=2']);
    assert.equal((await at.try(['service', 'rollback', 'web'])).code, 0);
    assert.deepEqual(await env(), ['V=4']);
    assert.equal((await at.try(['service', 'update', '--rollback', 'web'])).code, 0);
    assert.deepEqual(await env(), ['V=2']);
  });
}

/** The revision of the newest task of each slot. */
function newest(tasks: readonly TaskView[]): number[] {
  const bySlot = new Map<number, TaskView>();
  for (const view of tasks) {
    const seen = bySlot.get(view.task!.slot);
    if (seen === undefined || seen.task!.createdMs < view.task!.createdMs)
      bySlot.set(view.task!.slot, view);
  }
  return [...bySlot.values()].map((view) => view.task!.revision);
}
