import { Service, ServiceMode, ServiceState, TaskState } from '../../../proto/index.ts';
import { PoisonedService, type Turn } from '../turn.ts';
import { cover, coverNode } from './global.ts';
import { reconcileSlot } from './reconcile.ts';
import { scale } from './replicated.ts';
import { settleDraining, vacate } from './retire.ts';
import { takeUpRevision } from './revision.ts';
import { adoptPlacement, advance, canTake, countFailures, isStale, renew } from './rollout.ts';
import { isPaused, isRolling } from './rollout-state.ts';
import { Scope } from './scope.ts';
import { loadSlot, loadSlots, parseSlotKey, type Slot } from './slot.ts';

/** Stage 2: services and their tasks. */
export function orchestratorStage(turn: Turn): void {
  for (const id of turn.input.poisoned.keys()) isQuarantined(turn, id);
  // A slot of a service in a rollout, or one that ends, concerns the whole service.
  for (const key of turn.dirty.slots) {
    const { serviceId } = parseSlotKey(key);
    const service = turn.service(serviceId);
    const state = turn.state(serviceId);
    if (service === undefined || service.removing || isRolling(state?.rollout ?? null))
      turn.dirty.services.add(serviceId);
  }
  for (const id of turn.dirty.services) {
    if (turn.isFull()) turn.left.services.add(id);
    else guarded(turn, id, () => oneService(turn, id));
  }
  for (const key of turn.dirty.slots) {
    const { serviceId } = parseSlotKey(key);
    if (turn.dirty.services.has(serviceId)) continue;
    if (turn.isFull()) turn.left.slots.add(key);
    else guarded(turn, serviceId, () => oneSlot(turn, serviceId, key));
  }
}

/** What throws is set aside with its service; the turn is then done again for all others. */
function guarded(turn: Turn, serviceId: string, work: () => void): void {
  if (isQuarantined(turn, serviceId)) return;
  try {
    work();
  } catch (error) {
    throw new PoisonedService(serviceId, error);
  }
}

/** Writes the quarantine of a service whose handling threw; lifts it when its row has changed. */
function isQuarantined(turn: Turn, serviceId: string): boolean {
  const message = turn.input.poisoned.get(serviceId);
  const state = turn.state(serviceId);
  const service = turn.service(serviceId);
  if (message !== undefined) {
    if (state?.quarantine === message || service === undefined) return true;
    const base = state ?? ServiceState.create({ id: serviceId });
    turn.draft.put('serviceState', ServiceState.with(base, { quarantine: message }));
    const name = service.spec?.name ?? serviceId;
    turn.tell('service', 'quarantine', serviceId, name, `left alone until it changes: ${message}`);
    return true;
  }
  if (state === undefined || state.quarantine === '') return false;
  if (service !== undefined && service.version <= state.version) return true;
  turn.draft.put('serviceState', ServiceState.with(state, { quarantine: '' }));
  return false;
}

function oneService(turn: Turn, id: string): void {
  const service = turn.service(id);
  if (service === undefined || service.removing) {
    removeService(turn, id, service);
    return;
  }
  const state = turn.state(id);
  if (state !== undefined && state.runningRevision === 0) turn.draft.delete('serviceState', id);
  const scope = new Scope(turn, service);
  const slots = loadSlots(turn, id);
  takeUpRevision(scope, slots);
  countFailures(scope, slots);
  for (const slot of slots.values()) reconcileSlot(scope, slot);
  for (const slot of slots.values()) adoptPlacement(scope, slot);
  if (scope.isGlobal) cover(scope, slots);
  else if (service.spec?.mode === ServiceMode.REPLICATED) scale(scope, slots);
  advance(scope, slots);
  for (const slot of slots.values()) renewStraggler(scope, slot);
  scope.save();
  turn.endpoints.add(id);
}

function oneSlot(turn: Turn, serviceId: string, key: string): void {
  const service = turn.service(serviceId)!;
  if (turn.state(serviceId) === undefined) {
    turn.left.services.add(serviceId);
    return;
  }
  const scope = new Scope(turn, service);
  const slot = loadSlot(turn, key);
  reconcileSlot(scope, slot);
  if (scope.isGlobal) coverNode(scope, slot);
  renewStraggler(scope, slot);
  // An address may have been kept for a task that goes now.
  if (scope.state.virtualAddresses.length > 0) turn.endpoints.add(serviceId);
}

/** A node that was away during a rollout comes back with what is old by now. */
function renewStraggler(scope: Scope, slot: Slot): void {
  const { rollout } = scope.state;
  if (isRolling(rollout) || isPaused(rollout)) return;
  if (isStale(scope, slot) && canTake(scope, slot))
    renew(scope, slot, scope.service.spec?.update ?? null, 0);
}

/** All tasks end; the service's rows go with the last of them. */
function removeService(turn: Turn, id: string, service: Service | undefined): void {
  const scope = new Scope(turn, service ?? Service.create({ id }));
  const slots = loadSlots(turn, id);
  let left = 0;
  for (const slot of slots.values()) {
    if (turn.isFull()) {
      turn.left.services.add(id);
      return;
    }
    endSlot(scope, slot);
    left += slot.entries.length;
  }
  if (left > 0) return;
  turn.draft.delete('serviceState', id);
  if (service === undefined) return;
  for (const row of turn.draft.table('serviceRevision').by('service', id))
    turn.draft.delete('serviceRevision', row.id);
  turn.draft.delete('serviceLogin', id);
  turn.draft.delete('service', id);
  turn.tell('service', 'remove', id, scope.name, 'its last task has ended');
}

function endSlot(scope: Scope, slot: Slot): void {
  const { turn } = scope;
  if (turn.service(scope.id) === undefined || turn.state(scope.id) === undefined) {
    // Nothing is known of its ports: it ends without draining.
    for (const entry of slot.entries)
      turn.desire(entry, TaskState.REMOVE, 'its service was removed');
  } else settleDraining(turn, slot);
  vacate(scope, slot, 'its service was removed');
}
