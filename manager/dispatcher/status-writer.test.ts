import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type EventRow,
  NodeDescription,
  NodeVolume,
  Task,
  TaskReport,
  TaskState,
  TaskStatus,
} from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { SystemIds } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import { silentLog } from '../../shared/log.ts';
import { LocalStore } from '../store/local-store.fixture.ts';
import { checkNode } from './report-bounds.ts';
import { StatusWriter } from './status-writer.ts';
import { isCommitted, mergeStatus } from './task-status.ts';

const status = (init: Parameters<typeof TaskStatus.create>[0]): TaskStatus =>
  TaskStatus.create(init);

test('states only rise', () => {
  const running = status({ id: 't', state: TaskState.RUNNING });
  assert.equal(mergeStatus(running, status({ state: TaskState.STARTING }), 5), undefined);
  assert.equal(mergeStatus(running, status({ state: TaskState.FAILED }), 5)?.endedMs, 5);
});

test('what has ended stays as it ended', () => {
  const complete = status({ state: TaskState.COMPLETE, endedMs: 3 });
  assert.equal(mergeStatus(complete, status({ state: TaskState.FAILED }), 5), undefined);
});

test('running since is the cluster time of its first commit', () => {
  const first = mergeStatus(undefined, status({ state: TaskState.RUNNING }), 7);
  assert.equal(first?.runningSinceMs, 7);
  const ready = status({ state: TaskState.RUNNING, ready: true });
  assert.equal(mergeStatus(first, ready, 9)?.runningSinceMs, 7);
  assert.equal(mergeStatus(mergeStatus(first, ready, 9), ready, 11), undefined);
});

test('READY is committed only where the task is to wait there', () => {
  const ready = status({ state: TaskState.READY });
  assert.equal(isCommitted(Task.create({ desiredState: TaskState.READY }), ready), true);
  assert.equal(isCommitted(Task.create({ desiredState: TaskState.RUNNING }), ready), false);
});

test('under load many reports ride in one entry, in their order', async () => {
  const store = new LocalStore({ clock: new SystemClock(), ids: new SystemIds() });
  const tasks = Array.from({ length: 100 }, (_, i) => Task.create({ id: `t${i}`, nodeId: 'n' }));
  await store.put('task', 'loop', ...tasks);
  const writer = new StatusWriter({ store, clock: new SystemClock(), log: silentLog });
  writer.start();
  let entries = 0;
  store.onApplied(() => entries++);
  const done: number[] = [];
  await new Promise<void>((resolve, reject) => {
    for (let i = 0; i < 100; i++) {
      const running = { taskId: `t${i}`, status: { state: TaskState.RUNNING } };
      writer.report({
        nodeId: 'n',
        tasks: [TaskReport.create(running)],
        listenFailures: undefined,
        description: undefined,
        volumes: undefined,
        done: () => {
          done.push(i);
          if (done.length === 100) resolve();
        },
        failed: reject,
      });
    }
  });
  assert.deepEqual(
    done,
    [...done].sort((a, b) => a - b),
  );
  assert.ok(entries <= 3, `${entries} entries`);
  assert.equal(store.view.table('taskStatus').size, 100);
  writer.stop();
});

test('each layer that has come is an event while the image is pulled', async () => {
  const store = new LocalStore({ clock: new SystemClock(), ids: new SystemIds() });
  await store.put('task', 'loop', Task.create({ id: 't', nodeId: 'n', slot: 2 }));
  const writer = new StatusWriter({ store, clock: new SystemClock(), log: silentLog });
  writer.start();
  const told: string[] = [];
  store.onApplied(({ changes }) => {
    for (const { table, after } of changes)
      if (table === 'event') told.push(...(after as EventRow).events.map((e) => e.message));
  });
  const report = (...whats: string[]): Promise<void> => {
    const layers = whats.map((what, at) => ({ digest: `${at}`, what }));
    const status = { state: TaskState.PREPARING, layers };
    const tasks = [TaskReport.create({ taskId: 't', status })];
    const rest = { listenFailures: undefined, description: undefined, volumes: undefined };
    return new Promise((resolve, reject) =>
      writer.report({ nodeId: 'n', tasks, ...rest, done: resolve, failed: reject }),
    );
  };
  await report('fetching', 'waiting', 'waiting');
  await report('done', 'fetching', 'waiting');
  await report('done', 'fetching', 'fetching');
  await report('done', 'done', 'fetching');
  await report('done', 'done', 'done');
  assert.deepEqual(told, ['1 of 3 layers are there', '2 of 3 layers are there']);
  writer.stop();
});

test('tasks of a node that all end with many words take several entries, and one answer', async () => {
  const store = new LocalStore({ clock: new SystemClock(), ids: new SystemIds() });
  const ids = Array.from({ length: 600 }, (_, at) => `t${at}`);
  await store.put('task', 'loop', ...ids.map((id) => Task.create({ id, nodeId: 'n' })));
  const writer = new StatusWriter({ store, clock: new SystemClock(), log: silentLog });
  writer.start();
  const entries: number[] = [];
  store.onApplied(({ changes }) => {
    const rows = changes.filter(({ table }) => table === 'taskStatus');
    const sizes = rows.map(({ after }) => TaskStatus.encode(after as TaskStatus).length);
    entries.push(sizes.reduce((sum, size) => sum + size, 0));
  });
  const lastLines = Array.from({ length: 5 }, () => 'x'.repeat(LIMITS.lastLineCharsMax));
  const failed = { state: TaskState.FAILED, err: 'y'.repeat(10_000), lastLines };
  const tasks = ids.map((taskId) => TaskReport.create({ taskId, status: failed }));
  const rest = { listenFailures: undefined, description: undefined, volumes: undefined };
  let answers = 0;
  await new Promise<void>((resolve, reject) =>
    writer.report({
      nodeId: 'n',
      tasks,
      ...rest,
      done: () => {
        answers++;
        resolve();
      },
      failed: reject,
    }),
  );
  assert.equal(answers, 1);
  assert.ok(entries.length > 3, `${entries.length} entries`);
  for (const bytes of entries) assert.ok(bytes <= LIMITS.entryBytesMax, `${bytes} bytes`);
  const row = store.view.table('taskStatus').get('t599');
  assert.equal(row?.err.length, LIMITS.statusTextCharsMax);
  writer.stop();
});

test('a node that says more of itself than any does is refused', () => {
  const description = NodeDescription.create({ hostname: 'h'.repeat(200_000) });
  assert.throws(() => checkNode(description, []), { code: 'INVALID_ARGUMENT' });
  const volume = (at: number) => NodeVolume.create({ name: `v${at}` });
  const volumes = Array.from({ length: LIMITS.volumesPerNodeMax + 1 }, (_, at) => volume(at));
  assert.throws(() => checkNode(null, volumes), { code: 'INVALID_ARGUMENT' });
  checkNode(NodeDescription.create({ hostname: 'h' }), volumes.slice(1));
});
