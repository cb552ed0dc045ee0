import { type Task, TaskState, type TaskStatus } from '../../proto/index.ts';

/** A task with what its agent last said. Both are rows: never changed, only replaced. */
export interface Entry {
  task: Task;
  readonly status: TaskStatus | undefined;
}

/** The cluster wants it to run, now or later, and has not begun to end it. */
export function isWanted(task: Task): boolean {
  return task.desiredState <= TaskState.RUNNING && !task.draining;
}

/** A node was chosen and may have begun to work on it. */
export function isAssigned(task: Task): boolean {
  return task.nodeId !== '' && task.state >= TaskState.ASSIGNED;
}

/** Its agent says that it has ended, whatever the reason, or nobody can say any more. */
export function isFinal({ task, status }: Entry): boolean {
  return task.state === TaskState.ORPHANED || (status?.state ?? 0) >= TaskState.COMPLETE;
}

/** Nothing of it runs anywhere, and nothing of it will. */
export function isOver(entry: Entry): boolean {
  return isFinal(entry) || (!isAssigned(entry.task) && entry.task.desiredState > TaskState.RUNNING);
}

export function isRunning({ status }: Entry): boolean {
  return status?.state === TaskState.RUNNING;
}

/** Oldest first; a task comes after the one that it replaces. */
export function byAge(a: Entry, b: Entry): number {
  const byTime = a.task.createdMs - b.task.createdMs;
  if (byTime !== 0) return byTime;
  if (a.task.replaces === b.task.id) return 1;
  if (b.task.replaces === a.task.id) return -1;
  return a.task.id < b.task.id ? -1 : 1;
}

/** What its agent said of a task's end beyond the exit code, which is told anyway. */
export function saidAtEnd({ err, exitCode }: TaskStatus): string {
  return err === `exit code ${exitCode}` ? '' : err;
}
