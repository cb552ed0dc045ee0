import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import { type StatusReport, TaskReport, TaskStatus } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import { type NumberedReport, Reporter } from './reporter.ts';

let clock: ManualClock;
let statuses: Map<string, NumberedReport>;
let reporter: Reporter;
let sent: StatusReport[];

beforeEach(() => {
  clock = new ManualClock();
  statuses = new Map();
  sent = [];
  reporter = new Reporter({ clock, statusOf: (id) => statuses.get(id) });
});

function change(taskId: string, urgent: boolean): void {
  const sequence = reporter.next();
  const report = TaskReport.create({ taskId, status: TaskStatus.create({ id: taskId }) });
  statuses.set(taskId, { report, sequence });
  reporter.changed(taskId, urgent);
}
function connect(): void {
  reporter.connect((report) => sent.push(report), []);
}

describe('reporter', () => {
  it('sends what is urgent at once and what is not with it, or a little later', () => {
    connect();
    clock.advance(10);
    change('t1', false);
    clock.advance(50);
    assert.equal(sent.length, 0);
    change('t2', true);
    clock.advance(0);
    assert.deepEqual(
      sent.map((report) => report.tasks.map((task) => task.taskId)),
      [['t1', 't2']],
    );
    change('t3', false);
    clock.advance(100);
    assert.equal(sent.length, 2);
  });
  it('gathers urgent changes that come thick and fast', () => {
    connect();
    change('t1', true);
    clock.advance(0);
    for (let i = 0; i < 50; i++) change(`u${i}`, true);
    clock.advance(5);
    assert.equal(sent.length, 1);
    clock.advance(5);
    assert.equal(sent[1]?.tasks.length, 50);
  });
  it('names numbers so that a committed one stands for everything below it', () => {
    connect();
    const count = LIMITS.reportTasksMax + 10;
    for (let i = 0; i < count; i++) change(`t${i}`, true);
    clock.advance(0);
    assert.deepEqual(
      sent.map((report) => [report.tasks.length, report.sequence]),
      [
        [LIMITS.reportTasksMax, LIMITS.reportTasksMax],
        [10, count],
      ],
    );
  });
  it('tells in a new session what was not committed, and only that', () => {
    change('t1', true);
    change('t2', true);
    reporter.connect((report) => sent.push(report), ['t2']);
    clock.advance(0);
    assert.deepEqual(
      sent.flatMap((report) => report.tasks.map((task) => task.taskId)),
      ['t2'],
    );
  });
  it('never uses a number again', () => {
    reporter.resumeAfter(41);
    assert.equal(reporter.next(), 42);
  });
  it('tells of ports that can not be listened on once, until that changes', () => {
    connect();
    const failures = [{ protocol: 0, port: 80, reason: 'taken' }] as const;
    reporter.setListenFailures(failures);
    reporter.setListenFailures([...failures]);
    clock.advance(100);
    assert.equal(sent.length, 1);
    reporter.setListenFailures([]);
    clock.advance(100);
    assert.equal(sent[1]?.hasListenFailures, true);
  });
});
