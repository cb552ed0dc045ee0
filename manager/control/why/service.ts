import {
  type Reason,
  RolloutState,
  type Service,
  ServiceMode,
  type ServiceState,
  TaskState,
} from '../../../proto/index.ts';
import { unpackReason } from '../../loop/reason.ts';
import type { Entry } from '../../loop/task-facts.ts';
import { homesOf, tyingVolumes, volumeSources } from '../../loop/volumes.ts';
import type { View } from '../../store/view.ts';
import { taskName } from '../resolve.ts';
import { type SlotState, slotsOf } from '../slots.ts';
import { serviceName, specOfTask } from '../specs.ts';
import { shortages, someOf } from '../warnings.ts';
import type { Around } from './around.ts';
import { whyFailed, whyHeld, whyRefusedBefore, whyRejected } from './failures.ts';
import { whyTasksStay } from './node.ts';
import { whyNotPlaced } from './placement.ts';
import { whyPorts, whyUntold } from './ports.ts';
import { count, type WhyCode, why } from './reason.ts';
import { whyRollout } from './rollout.ts';
import { whyWaiting } from './waiting.ts';

/** Causes in the order in which they hide each other; at least one reason, `fine` when all is well. */
export function whyService(around: Around, service: Service): Reason[] {
  const { view } = around;
  if (service.removing) return [removing(view, service)];
  const state = view.table('serviceState').get(service.id);
  const slots = slotsOf(view, service);
  const open = slots.filter((slot) => !slot.serving);
  const reasons = [
    ...quarantined(service, state),
    ...unplaced(around, open),
    ...nowhere(view, service, state, slots),
    ...refused(view, service, slots, state),
    ...whyPorts(view, service, state),
    ...open.flatMap((slot) => (slot.held === undefined ? [] : [whyHeld(view, slot.held)])),
    ...rollout(service, state, true),
    ...silentNodes(around, slots),
    ...waiting(around, open),
    ...rollout(service, state, false),
    ...whyUntold(around, service, state, slots),
    ...lacking(view, service),
  ];
  const distinct = withoutRepeats(reasons);
  return distinct.length > 0 ? distinct : [fine(view, service, slots, state)];
}

function quarantined(service: Service, state: ServiceState | undefined): Reason[] {
  const text = state?.quarantine ?? '';
  if (text === '') return [];
  const name = serviceName(service);
  return [
    why('quarantine', `${name} is left alone since an error in the control loop: ${text}`, {
      object: service.id,
      advice: 'This is a bug: please report it. The service is looked at again when it is updated.',
      command: `swarm service update --force ${name}`,
    }),
  ];
}

function removing(view: View, service: Service): Reason {
  const name = serviceName(service);
  const left = count(view.table('task').countBy('service', service.id), 'task');
  return why('removing', `${name} is being removed: ${left} to go`, {
    object: service.id,
    advice: 'Wait until they have stopped.',
    command: `swarm service ps ${name}`,
  });
}

/** One reason for all tasks of a revision that wait for a node. */
function unplaced(around: Around, open: readonly SlotState[]): Reason[] {
  const seen = new Set<number>();
  const reasons: Reason[] = [];
  for (const { head } of open) {
    if (head === undefined || head.task.state >= TaskState.ASSIGNED) continue;
    if (head.task.startAfterMs > around.nowMs || seen.has(head.task.revision)) continue;
    seen.add(head.task.revision);
    reasons.push(whyUnplaced(around, head));
  }
  return reasons;
}

/** A global service without a single task: what keeps it off every node. */
function nowhere(
  view: View,
  service: Service,
  state: ServiceState | undefined,
  slots: readonly SlotState[],
): Reason[] {
  const { spec } = service;
  if (spec?.mode !== ServiceMode.GLOBAL || slots.length > 0 || service.removing) return [];
  if ((state?.seenRevision ?? 0) < service.revision) return [];
  return [whyNotPlaced({ view, spec, verdicts: [] })];
}

const OWN_CODES: { readonly [code: string]: WhyCode } = {
  'port-taken': 'port-taken',
  'network-missing': 'network-missing',
  'network-problem': 'network-problem',
  'addresses-used-up': 'addresses-used-up',
  'waits-for-stop': 'waits',
  disconnected: 'disconnected',
  'update-paused': 'update-paused',
  quarantine: 'quarantine',
  brake: 'brake',
};

/** Why a task has no node: the loop's own word where it is not the scheduler's. */
export function whyUnplaced(around: Around, { task }: Entry): Reason {
  const { view } = around;
  const pending = unpackReason(task.pendingReason);
  const own = pending === undefined ? undefined : OWN_CODES[pending.code];
  const spec = specOfTask(view, task);
  if (own !== undefined && pending !== undefined)
    return why(own, `${taskName(view, task)}: ${pending.text}`, {
      object: task.id,
      advice: pending.advice,
      command: pending.command,
    });
  if (spec === undefined)
    return why('waits', `${taskName(view, task)} waits: ${pending?.text ?? 'its spec is gone'}`);
  return whyNotPlaced({ view, spec, verdicts: around.explain(view, task.id) });
}

/** Tasks that nodes refused, where that still matters. */
function refused(
  view: View,
  service: Service,
  slots: readonly SlotState[],
  state: ServiceState | undefined,
): Reason[] {
  const rolling = state?.rollout;
  return slots.flatMap(({ serving, failed, head }) => {
    const ofRollout = paused(state) && failed?.task.revision === rolling?.toRevision;
    if (serving && !ofRollout) return [];
    const entry = failed ?? head;
    if (entry === undefined) return [];
    const spec = specOfTask(view, entry.task) ?? service.spec ?? undefined;
    const tell = failed === undefined ? whyRefusedBefore : whyRejected;
    const reason = tell(view, spec, entry);
    return reason === undefined ? [] : [reason];
  });
}

/** Its tasks run, but not as they were promised to. */
function lacking(view: View, service: Service): Reason[] {
  return [...shortages(view, service.id)].map(([words, nodes]) =>
    why('without-limits', `${serviceName(service)} ${words} (${someOf(nodes)})`, {
      object: service.id,
      advice: WITHOUT_LIMITS,
      command: `swarm service update --constraint-add node.hostname!=${nodes[0]} ${serviceName(service)}`,
    }),
  );
}

/** What to do about limits that do not hold. */
export const WITHOUT_LIMITS =
  'Run the daemon of that node as root or under systemd with Delegate=yes, or keep the service off it.';

function paused(state: ServiceState | undefined): boolean {
  const rollout = state?.rollout?.state;
  return rollout === RolloutState.PAUSED || rollout === RolloutState.ROLLBACK_PAUSED;
}

/** Rollouts that stand are causes; those that go on are only told. */
function rollout(service: Service, state: ServiceState | undefined, stands: boolean): Reason[] {
  const reason = whyRollout(service, state);
  if (reason === undefined || (reason.code !== 'updating') !== stands) return [];
  return [reason];
}

/** Nodes that are silent and still have wanted tasks of this service. */
function silentNodes(around: Around, slots: readonly SlotState[]): Reason[] {
  const nodeIds = new Set(slots.map((slot) => slot.head?.task.nodeId ?? ''));
  nodeIds.delete('');
  return [...nodeIds].flatMap((nodeId) => whyTasksStay(around.view, nodeId, around.nowMs));
}

function waiting(around: Around, open: readonly SlotState[]): Reason[] {
  const { view } = around;
  const failing: Reason[] = [];
  const waits: Reason[] = [];
  for (const { head, failed, held } of open) {
    const reason = head === undefined ? undefined : whyWaiting(around, head);
    if (reason !== undefined) waits.push(reason);
    if (failed === undefined || held !== undefined) continue;
    const ended = whyFailed(view, specOfTask(view, failed.task), failed);
    if (ended !== undefined) failing.push(ended);
  }
  return [...failing, ...waits];
}

const REPEATS_MAX = 3;

/** The same cause in many slots is told a few times, then counted. */
function withoutRepeats(reasons: readonly Reason[]): Reason[] {
  const seen = new Map<string, number>();
  return reasons.filter((reason) => {
    const times = (seen.get(reason.code) ?? 0) + 1;
    seen.set(reason.code, times);
    return times <= REPEATS_MAX;
  });
}

function fine(
  view: View,
  service: Service,
  slots: readonly SlotState[],
  state: ServiceState | undefined,
): Reason {
  const name = serviceName(service);
  const command = `swarm service ps ${name}`;
  const object = service.id;
  const tied = slots.flatMap(({ head }) => tieOf(view, service, head));
  if ((state?.seenRevision ?? 0) < service.revision)
    return why('waits', `${name}: its newest revision has not been taken up yet`, {
      object,
      advice: 'Wait a moment.',
      command,
    });
  const serving = slots.filter((slot) => slot.serving).length;
  const wanted = service.spec?.replicas ?? 0;
  const replicated = service.spec?.mode === ServiceMode.REPLICATED;
  if (replicated && wanted === 0)
    return why('scaled-to-zero', `${name} is scaled to 0 replicas`, {
      object,
      advice: 'Scale it up.',
      command: `swarm service scale ${name}=1`,
    });
  if (replicated && serving < wanted)
    return why('waits', `${name}: ${wanted - serving} of ${wanted} tasks are not made yet`, {
      object,
      advice: 'Wait a moment.',
      command,
    });
  return why('fine', `${name} is as it was wished`, { object, command, details: tied });
}

/** "web.1 stays on n1: volume data is on n1" */
function tieOf(view: View, service: Service, head: Entry | undefined): string[] {
  if (head === undefined || service.spec === null) return [];
  const { spec, id } = service;
  const homes = homesOf(view, tyingVolumes(spec, volumeSources(spec), id, head.task.slot));
  if (homes === undefined) return [];
  return [`${taskName(view, head.task)} runs only where its volumes are: ${homes.text}`];
}
