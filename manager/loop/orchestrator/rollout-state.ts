import { type Rollout, RolloutState } from '../../../proto/index.ts';

/**
 * A rollout lives entirely in rows: `ServiceState.rollout`, and the tasks that carry its number
 * (`rolloutStartedMs`). Whoever leads goes on with it.
 */
export function isRolling(rollout: Rollout | null): rollout is Rollout {
  const state = rollout?.state ?? RolloutState.NONE;
  return state === RolloutState.UPDATING || state === RolloutState.ROLLBACK_STARTED;
}

export function isRollback(rollout: Rollout): boolean {
  return rollout.state >= RolloutState.ROLLBACK_STARTED;
}

/** Paused: tasks of two revisions stand side by side, and nothing changes that. */
export function isPaused(rollout: Rollout | null): boolean {
  const state = rollout?.state ?? RolloutState.NONE;
  return state === RolloutState.PAUSED || state === RolloutState.ROLLBACK_PAUSED;
}
