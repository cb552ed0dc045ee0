import { Rollout, RolloutState, UpdateConfig } from '../../../proto/index.ts';
import type { RevisionFacts } from '../specs.ts';
import { begin } from './rollout.ts';
import { isRolling } from './rollout-state.ts';
import type { Scope } from './scope.ts';
import type { Slot } from './slot.ts';

/**
 * Takes up a revision of the wish that the loop has not acted on. Only what a task is made of, or
 * where it may run, begins a rollout; replicas, labels and update settings change nothing that runs.
 */
export function takeUpRevision(scope: Scope, slots: ReadonlyMap<string, Slot>): void {
  const { service, state } = scope;
  if (state.seenRevision === service.revision) return;
  const next = scope.facts(service.revision);
  const { draft, specs } = scope.turn;
  const seen = specs.find(draft, scope.id, state.seenRevision);
  scope.patch({ seenRevision: service.revision });
  const changed =
    seen === undefined || seen.work !== next.work || seen.placement !== next.placement;
  if (changed || (isStuck(state.rollout) && seen !== undefined && asksAgain(seen, next))) {
    scope.patch({ runningRevision: next.revision });
    begin(scope, slots, {
      state: RolloutState.UPDATING,
      fromRevision: state.runningRevision,
      toRevision: next.revision,
    });
    return;
  }
  renumber(scope, next);
}

/** The same work under a new number. After a rollback, what was rolled back to stays. */
function renumber(scope: Scope, next: RevisionFacts): void {
  const { state } = scope;
  const { draft, specs } = scope.turn;
  const same = (revision: number) => {
    const facts = specs.find(draft, scope.id, revision);
    return facts !== undefined && facts.work === next.work && facts.placement === next.placement;
  };
  if (same(state.stableRevision)) scope.patch({ stableRevision: next.revision });
  if (!same(state.runningRevision)) return;
  scope.patch({ runningRevision: next.revision });
  if (state.rollout !== null && isRolling(state.rollout))
    scope.patch({ rollout: Rollout.with(state.rollout, { toRevision: next.revision }) });
}

function isStuck(rollout: Rollout | null): boolean {
  const state = rollout?.state ?? RolloutState.NONE;
  return state === RolloutState.PAUSED || state >= RolloutState.ROLLBACK_STARTED;
}

/**
 * The user wants what failed tried again: other update settings for it, or the very same spec.
 * A change of replicas or labels alone is no such wish.
 */
function asksAgain(seen: RevisionFacts, next: RevisionFacts): boolean {
  if (encoded(seen.spec.update) !== encoded(next.spec.update)) return true;
  const [a, b] = [seen.spec, next.spec];
  return a.replicas === b.replicas && JSON.stringify(a.labels) === JSON.stringify(b.labels);
}

function encoded(config: UpdateConfig | null): string {
  return config === null ? '' : JSON.stringify(UpdateConfig.toJson(config));
}
