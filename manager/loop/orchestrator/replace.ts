import {
  OnDisconnect,
  RestartCondition,
  type Task,
  TaskState,
  UpdateOrder,
} from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import { packReason, type Reason, reason } from '../reason.ts';
import { type Entry, isAssigned, saidAtEnd } from '../task-facts.ts';
import { retire } from './retire.ts';
import type { Scope } from './scope.ts';
import type { Slot } from './slot.ts';

/** Puts a new task into the slot of `old`. The revision stays: only a rollout changes it. */
export function replace(scope: Scope, slot: Slot, old: Entry, init: Partial<Task>): Entry {
  const { turn } = scope;
  const entry = turn.create({
    serviceId: scope.id,
    slot: slot.number,
    nodeId: slot.nodeId,
    revision: scope.factsOf(old).revision,
    desiredState: TaskState.RUNNING,
    replaces: old.task.id,
    restarts: old.task.restarts,
    windowStartMs: old.task.windowStartMs,
    rolloutStartedMs: old.task.rolloutStartedMs,
    rolloutFailed: old.task.rolloutFailed,
    ...init,
  });
  slot.entries.push(entry);
  // Looked at again at once: how long it waits at most for the one before it is known then.
  if (entry.task.desiredState === TaskState.READY) turn.left.slots.add(slot.key);
  return entry;
}

/** The head has ended by itself: restart policy, unless its node was the cause. */
export function afterEnd(scope: Scope, slot: Slot, head: Entry): void {
  const { turn } = scope;
  const { task } = head;
  const status = head.status!;
  const how = howItEnded(head);
  if (status.lost || turn.isOutOfReach(head)) {
    turn.desire(head, TaskState.SHUTDOWN, how);
    replace(scope, slot, head, {});
    turn.tell('task', 'reschedule', task.id, turn.taskName(task), how);
    return;
  }
  const policy = scope.factsOf(head).task.restart;
  const verdict = mayRestart(scope, head);
  if (verdict !== undefined) {
    turn.desire(head, TaskState.SHUTDOWN, `${how}; ${verdict.text}`);
    turn.tell('task', 'end', task.id, turn.taskName(task), `${how}; ${verdict.text}`);
    return;
  }
  const windowMs = policy?.windowMs ?? 0;
  const fresh = windowMs > 0 && turn.now - task.windowStartMs > windowMs;
  const delayMs = turn.condition(task.nodeId) === 'ok' ? (policy?.delayMs ?? 0) : 0;
  const startAfterMs = Math.max(turn.now, (status.endedMs || turn.now) + delayMs);
  const waits = startAfterMs > turn.now;
  turn.desire(head, TaskState.SHUTDOWN, how);
  replace(scope, slot, head, {
    desiredState: waits ? TaskState.READY : TaskState.RUNNING,
    startAfterMs: waits ? startAfterMs : 0,
    restarts: fresh ? 1 : task.restarts + 1,
    windowStartMs: fresh || task.restarts === 0 ? turn.now : task.windowStartMs,
    pendingReason: waits
      ? packReason(reason('restart-delay', `the task before it ${how}: its restart delay runs`))
      : '',
  });
  if (waits) turn.wake(`k:${slot.key}`, startAfterMs);
  turn.tell('task', 'restart', task.id, turn.taskName(task), how);
}

/** Why the restart policy does not start it again; undefined: it does. */
export function mayRestart(scope: Scope, head: Entry): Reason | undefined {
  const policy = scope.factsOf(head).task.restart;
  const condition = policy?.condition ?? RestartCondition.ANY;
  const completed = head.status?.state === TaskState.COMPLETE;
  if (condition === RestartCondition.NONE)
    return reason('completed', 'its restart condition is none');
  if (condition === RestartCondition.ON_FAILURE && completed)
    return reason('completed', 'its restart condition is on-failure');
  const max = policy?.maxAttempts ?? 0;
  if (max === 0) return undefined;
  const { restarts, windowStartMs } = head.task;
  const windowMs = policy?.windowMs ?? 0;
  const windowIsOver = windowMs > 0 && scope.turn.now - windowStartMs > windowMs;
  if (restarts < max || windowIsOver) return undefined;
  return reason('restarts-used-up', `its ${max} restarts are used up`);
}

export function howItEnded({ status }: Entry): string {
  if (status === undefined) return 'ended';
  if (status.lost) return status.err || 'was lost with its supervisor';
  if (status.state === TaskState.REJECTED) return `was refused: ${status.err || status.message}`;
  if (status.oom) return 'ran out of memory';
  // How it was ended then is our own doing.
  if (status.err.startsWith('unhealthy')) return `was ${status.err}`;
  if (status.signal !== '') return `was ended by ${status.signal}`;
  const said = saidAtEnd(status);
  return said === '' ? `exited with code ${status.exitCode}` : `failed: ${said}`;
}

/** The head has to leave its node. This is no crash: no delay, and no attempt is used. */
export function reschedule(scope: Scope, slot: Slot, head: Entry, why: string): void {
  const { turn } = scope;
  const condition = turn.condition(head.task.nodeId);
  turn.tell('task', 'reschedule', head.task.id, turn.taskName(head.task), why);
  if (condition === 'lost' || condition === 'gone') {
    replaceLost(scope, slot, head, why);
    return;
  }
  if (condition === 'leaving') {
    replace(scope, slot, head, {});
    retire(scope, slot, head, why);
    return;
  }
  const startFirst = scope.isUp(head) && startsFirst(scope, scope.running.spec.update?.order);
  const runs = isAssigned(head.task) && !startFirst;
  replace(scope, slot, head, { desiredState: runs ? TaskState.READY : TaskState.RUNNING });
  if (!startFirst) retire(scope, slot, head, why);
}

function replaceLost(scope: Scope, slot: Slot, head: Entry, why: string): void {
  const { turn } = scope;
  const { task } = scope.factsOf(head);
  const status = turn.draft.table('nodeStatus').get(head.task.nodeId);
  turn.desire(head, TaskState.SHUTDOWN, why);
  if (task.onDisconnect !== OnDisconnect.STOP || status === undefined) {
    replace(scope, slot, head, {});
    return;
  }
  // The agent stops it by itself: not before that can be over may another one start.
  const graceMs = task.process?.stopGraceMs || task.container?.stopGraceMs || DEFAULTS.stopGraceMs;
  const startAfterMs = status.sinceMs + task.onDisconnectAfterMs + graceMs;
  const waits = startAfterMs > turn.now;
  replace(scope, slot, head, {
    desiredState: waits ? TaskState.READY : TaskState.RUNNING,
    startAfterMs: waits ? startAfterMs : 0,
    pendingReason: waits
      ? packReason(
          reason(
            'disconnected',
            `it waits until ${turn.nodeName(head.task.nodeId)} has stopped it`,
          ),
        )
      : '',
  });
  if (waits) turn.wake(`k:${slot.key}`, startAfterMs);
}

/** With fixed host ports, or one task a node, the new task needs the place of the old one. */
export function startsFirst(scope: Scope, order: UpdateOrder | undefined): boolean {
  return order === UpdateOrder.START_FIRST && scope.running.hostPorts.length === 0;
}
