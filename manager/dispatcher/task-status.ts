import { type PortBinding, type Task, TaskState, TaskStatus } from '../../proto/index.ts';

/** What of an agent's report is committed, as pure decisions. */

export function isFinal(state: TaskState): boolean {
  return state >= TaskState.COMPLETE;
}

/**
 * Whether a report is committed. The rest is for people: told from the leader's memory, and told
 * again by the agent in its next hello.
 */
export function isCommitted(task: Task, report: TaskStatus): boolean {
  if (report.state >= TaskState.RUNNING) return true;
  // A task that is to wait there: the rollout goes on by it.
  return report.state === TaskState.READY && task.desiredState === TaskState.READY;
}

/**
 * The row after a report; undefined when it changes nothing. States only rise, and what has ended
 * stays as it ended.
 */
export function mergeStatus(
  before: TaskStatus | undefined,
  report: TaskStatus,
  timeMs: number,
): TaskStatus | undefined {
  if (before !== undefined) {
    if (report.state < before.state || isFinal(before.state)) return undefined;
    if (report.state === before.state && isSame(before, report)) return undefined;
  }
  const ran = report.state === TaskState.RUNNING;
  return TaskStatus.with(report, {
    runningSinceMs: before?.runningSinceMs || (ran ? timeMs : 0),
    endedMs: isFinal(report.state) ? timeMs : 0,
    // Told while it goes on, and in an event once; no row keeps it.
    layers: [],
    version: before?.version ?? 0,
  });
}

function isSame(left: TaskStatus, right: TaskStatus): boolean {
  return (
    left.ready === right.ready &&
    left.health === right.health &&
    left.message === right.message &&
    left.err === right.err &&
    left.warning === right.warning &&
    left.pid === right.pid &&
    left.ports.length === right.ports.length &&
    left.ports.every((port, at) => isSamePort(port, right.ports[at]))
  );
}

function isSamePort(left: PortBinding, right: PortBinding | undefined): boolean {
  return (
    left.protocol === right?.protocol &&
    left.target === right.target &&
    left.host === right.host &&
    left.port === right.port
  );
}
