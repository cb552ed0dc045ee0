import {
  FailureAction,
  Rollout,
  RolloutState,
  TaskState,
  type UpdateConfig,
} from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import { meets } from '../constraint.ts';
import { type Entry, isAssigned, isFinal, isWanted } from '../task-facts.ts';
import { howItEnded, mayRestart, replace, startsFirst } from './replace.ts';
import { retire } from './retire.ts';
import { isRollback, isRolling } from './rollout-state.ts';
import type { Scope } from './scope.ts';
import { headOf, heldOf, type Slot } from './slot.ts';

export function begin(
  scope: Scope,
  slots: ReadonlyMap<string, Slot>,
  init: { state: RolloutState; fromRevision: number; toRevision: number; message?: string },
): void {
  let total = 0;
  for (const slot of slots.values()) if (isStale(scope, slot)) total++;
  const { now, draft } = scope.turn;
  // The number of a rollout must differ from that of the one before it.
  const startedMs = Math.max(now, (scope.state.rollout?.startedMs ?? 0) + 1);
  scope.patch({
    rollout: Rollout.create({ ...init, startedMs, startedWallMs: draft.wallMs, total }),
  });
  const verb = init.state === RolloutState.UPDATING ? 'update' : 'rollback';
  const why = init.message === undefined ? '' : `: ${init.message}`;
  scope.tell(verb, `${verb} to revision ${init.toRevision} begins${why}`);
}

/** The settings that hold for a rollout: a user's rollback and an automatic one have their own. */
function configOf(scope: Scope, rollout: Rollout): UpdateConfig | null {
  const spec = scope.service.spec;
  const { draft, specs } = scope.turn;
  const target = specs.find(draft, scope.id, rollout.toRevision);
  const back = isRollback(rollout) || target?.note.startsWith('rollback') === true;
  return (back ? spec?.rollback : spec?.update) ?? null;
}

/** Counts failures, takes the next slots, ends the rollout. Runs after each slot was looked at. */
export function advance(scope: Scope, slots: ReadonlyMap<string, Slot>): void {
  const { rollout } = scope.state;
  if (!isRolling(rollout)) return;
  const config = configOf(scope, rollout);
  const { going, done, down, stale, lastUpMs } = census(scope, slots, rollout);
  const delayMs = config?.delayMs ?? 0;
  if (done !== rollout.done) {
    const nextAtMs = done > rollout.done ? scope.turn.now + delayMs : rollout.nextAtMs;
    scope.patch({ rollout: Rollout.with(rollout, { done, nextAtMs }) });
  }
  if (stale.length > 0) {
    takeNext(scope, stale, going, config);
    return;
  }
  if (going > 0) return;
  const monitorMs = monitorOf(config);
  const untilMs = lastUpMs === 0 ? 0 : lastUpMs + monitorMs;
  if (scope.turn.now < untilMs) {
    if (scope.state.rollout!.monitorUntilMs !== untilMs)
      scope.patch({ rollout: Rollout.with(scope.state.rollout!, { monitorUntilMs: untilMs }) });
    scope.turn.wake(`s:${scope.id}`, untilMs);
    return;
  }
  finish(scope, down / Math.max(1, down + done) <= (config?.maxFailureRatio ?? 0));
}

interface Census {
  /** Slots whose new task is not up yet. */
  going: number;
  done: number;
  /** Slots of this rollout that are not up, failed ones with them. */
  down: number;
  readonly stale: Slot[];
  /** When the last new task came up, cluster time; 0: none. */
  lastUpMs: number;
}

function census(scope: Scope, slots: ReadonlyMap<string, Slot>, rollout: Rollout): Census {
  const result: Census = { going: 0, done: 0, down: 0, stale: [], lastUpMs: 0 };
  for (const slot of slots.values()) {
    const head = headOf(slot);
    const standing = head ?? heldOf(slot);
    if (standing === undefined) continue;
    if (isStale(scope, slot)) {
      if (canTake(scope, slot)) result.stale.push(slot);
      continue;
    }
    if (standing.task.rolloutStartedMs !== rollout.startedMs) continue;
    if (head !== undefined && scope.isUp(head)) {
      result.done++;
      result.lastUpMs = Math.max(result.lastUpMs, head.status!.runningSinceMs);
    } else if (head === undefined) result.done++;
    else {
      result.down++;
      if (!head.task.rolloutFailed && canTake(scope, slot)) result.going++;
    }
  }
  return result;
}

/** A global task on a node that does not answer cannot be updated: it follows when the node is back. */
export function canTake(scope: Scope, slot: Slot): boolean {
  return slot.nodeId === '' || scope.turn.condition(slot.nodeId) === 'ok';
}

/** What runs in the slot is not what the running revision asks for. */
export function isStale(scope: Scope, slot: Slot): boolean {
  const standing = headOf(slot) ?? heldOf(slot);
  if (standing === undefined) return false;
  const { running } = scope;
  const { task } = standing;
  if (task.revision === running.revision) return false;
  const facts = scope.factsOf(standing);
  if (facts.work !== running.work) return true;
  if (facts.placement === running.placement) return false;
  if (!isAssigned(task)) return true;
  const node = scope.turn.draft.table('node').get(task.nodeId);
  const status = scope.turn.draft.table('nodeStatus').get(task.nodeId);
  return node !== undefined && !running.constraints.every((c) => meets(c, node, status));
}

/** Tasks that fit as they are take up the new placement, so that it holds for them from now on. */
export function adoptPlacement(scope: Scope, slot: Slot): void {
  const head = headOf(slot);
  if (head === undefined || head.task.revision === scope.running.revision) return;
  if (!isAssigned(head.task) || isStale(scope, slot)) return;
  if (scope.factsOf(head).placement === scope.running.placement) return;
  scope.turn.change(head, { revision: scope.running.revision });
}

function takeNext(
  scope: Scope,
  stale: readonly Slot[],
  going: number,
  config: UpdateConfig | null,
): void {
  const { turn } = scope;
  const { nextAtMs } = scope.state.rollout!;
  if (turn.now < nextAtMs) {
    turn.wake(`s:${scope.id}`, nextAtMs);
    return;
  }
  const parallelism = config?.parallelism || Number.POSITIVE_INFINITY;
  // What does not work anyway comes first.
  const order = stale
    .map((slot) => ({ slot, up: isSlotUp(scope, slot) }))
    .sort((a, b) => Number(a.up) - Number(b.up) || compareSlots(a.slot, b.slot));
  let free = parallelism - going;
  for (const { slot } of order) {
    if (free <= 0) return;
    if (turn.isFull()) {
      turn.left.services.add(scope.id);
      return;
    }
    renew(scope, slot, config, scope.state.rollout!.startedMs);
    free--;
  }
}

function isSlotUp(scope: Scope, slot: Slot): boolean {
  const head = headOf(slot);
  return head !== undefined && scope.isUp(head);
}

function compareSlots(a: Slot, b: Slot): number {
  return a.number - b.number || (a.nodeId < b.nodeId ? -1 : 1);
}

/** Puts a task of the running revision into the slot. `rolloutStartedMs` 0: outside of a rollout. */
export function renew(
  scope: Scope,
  slot: Slot,
  config: UpdateConfig | null,
  rolloutStartedMs: number,
): void {
  const { turn, running } = scope;
  const why = `updated to revision ${running.revision}`;
  const init = {
    revision: running.revision,
    rolloutStartedMs,
    rolloutFailed: false,
    restarts: 0,
    windowStartMs: 0,
  };
  const head = headOf(slot);
  if (head === undefined) {
    replace(scope, slot, heldOf(slot)!, init);
    return;
  }
  const good = slot.entries.find((entry) => entry !== head && isGood(scope, entry));
  if (good !== undefined) {
    // Taken back half-way: the task that was to be replaced still runs, and is what is wanted.
    retire(scope, slot, head, why);
    turn.change(good, { endReason: '' });
    return;
  }
  if (!isAssigned(head.task)) {
    turn.change(head, { ...init, startAfterMs: 0, pendingReason: '' });
    turn.dirty.placement = true;
    turn.left.slots.add(slot.key);
    return;
  }
  if (startsFirst(scope, config?.order) && scope.isUp(head)) {
    turn.change(head, { endReason: why });
    replace(scope, slot, head, init);
    return;
  }
  replace(scope, slot, head, { ...init, desiredState: TaskState.READY });
  retire(scope, slot, head, why);
}

function isGood(scope: Scope, entry: Entry): boolean {
  if (!isWanted(entry.task) || isFinal(entry) || !isAssigned(entry.task)) return false;
  return scope.factsOf(entry).work === scope.running.work;
}

function monitorOf(config: UpdateConfig | null): number {
  return config?.monitorMs || DEFAULTS.updateMonitorMs;
}

/** Notes slots whose new task failed, each once, and acts when there are too many. */
export function countFailures(scope: Scope, slots: ReadonlyMap<string, Slot>): void {
  const { rollout } = scope.state;
  if (!isRolling(rollout)) return;
  const config = configOf(scope, rollout);
  let failed = rollout.failed;
  let last = '';
  for (const slot of slots.values()) {
    const head = headOf(slot);
    if (head === undefined || head.task.rolloutStartedMs !== rollout.startedMs) continue;
    if (head.task.rolloutFailed) continue;
    const failure = failureOf(scope, head, config);
    if (failure === undefined) continue;
    scope.turn.change(head, { rolloutFailed: true });
    failed++;
    last = `${scope.turn.taskName(head.task)} ${failure}`;
  }
  if (failed === rollout.failed) return;
  scope.patch({ rollout: Rollout.with(rollout, { failed, message: last }) });
  if (failed / Math.max(1, rollout.total) > (config?.maxFailureRatio ?? 0))
    act(scope, slots, config, last);
}

/** How the head of a slot failed its rollout; undefined: it did not (yet). */
function failureOf(scope: Scope, head: Entry, config: UpdateConfig | null): string | undefined {
  const { turn } = scope;
  const { task, status } = head;
  if (isFinal(head)) {
    if (status === undefined || status.lost || turn.isOutOfReach(head)) return undefined;
    if (status.state === TaskState.COMPLETE && mayRestart(scope, head)?.code === 'completed')
      return undefined;
    const ranMs = status.runningSinceMs === 0 ? 0 : status.endedMs - status.runningSinceMs;
    return ranMs < monitorOf(config) ? howItEnded(head) : undefined;
  }
  if (scope.isUp(head)) return undefined;
  const deadlineMs = config?.progressDeadlineMs || DEFAULTS.updateProgressDeadlineMs;
  const sinceMs =
    task.desiredState === TaskState.RUNNING
      ? Math.max(task.desiredMs, task.rolloutStartedMs)
      : Math.max(task.createdMs, task.startAfterMs, task.rolloutStartedMs);
  if (turn.now >= sinceMs + deadlineMs)
    return `was not up within ${Math.round(deadlineMs / 1000)} s`;
  turn.wake(`s:${scope.id}`, sinceMs + deadlineMs);
  return undefined;
}

function act(
  scope: Scope,
  slots: ReadonlyMap<string, Slot>,
  config: UpdateConfig | null,
  why: string,
): void {
  const rollout = scope.state.rollout!;
  const action = config?.failureAction ?? FailureAction.PAUSE;
  if (action === FailureAction.CONTINUE) return;
  if (action === FailureAction.ROLLBACK && !isRollback(rollout) && rollBack(scope, slots, why))
    return;
  const state = isRollback(rollout) ? RolloutState.ROLLBACK_PAUSED : RolloutState.PAUSED;
  end(scope, state, why);
  const verb = isRollback(rollout) ? 'rollback' : 'update';
  scope.tell(verb, `${verb} paused: ${why}`);
}

/** False when there is nothing to go back to. */
function rollBack(scope: Scope, slots: ReadonlyMap<string, Slot>, why: string): boolean {
  const { stableRevision, runningRevision } = scope.state;
  const { draft, specs } = scope.turn;
  const stable = specs.find(draft, scope.id, stableRevision);
  if (stable === undefined) return false;
  const { running } = scope;
  if (stable.work === running.work && stable.placement === running.placement) return false;
  scope.patch({ runningRevision: stableRevision });
  begin(scope, slots, {
    state: RolloutState.ROLLBACK_STARTED,
    fromRevision: runningRevision,
    toRevision: stableRevision,
    message: why,
  });
  scope.turn.left.services.add(scope.id);
  return true;
}

/** `works`: it may be gone back to. */
function finish(scope: Scope, works: boolean): void {
  const rollout = scope.state.rollout!;
  const back = isRollback(rollout);
  const verb = back ? 'rollback' : 'update';
  end(scope, back ? RolloutState.ROLLBACK_COMPLETED : RolloutState.COMPLETED, rollout.message);
  if (!back && works) scope.patch({ stableRevision: rollout.toRevision });
  scope.tell(verb, `${verb} to revision ${rollout.toRevision} completed`);
}

function end(scope: Scope, state: RolloutState, message: string): void {
  const { rollout } = scope.state;
  const endedWallMs = scope.turn.draft.wallMs;
  scope.patch({ rollout: Rollout.with(rollout!, { state, message, endedWallMs }) });
}
