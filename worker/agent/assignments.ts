import type { AssignedTask, Assignments, LoadBalanced, Position } from '../../proto/index.ts';
import { comparePositions, NOWHERE } from './position.ts';

/** Everything the leader has ordered, as of one position. */
export interface Orders {
  readonly position: Position;
  readonly tasks: ReadonlyMap<string, AssignedTask>;
  readonly services: ReadonlyMap<string, LoadBalanced>;
}

export type Applied =
  | {
      readonly ok: true;
      readonly orders: Orders;
      readonly changed: readonly AssignedTask[];
      readonly removed: readonly string[];
      readonly servicesChanged: boolean;
    }
  /** `stale`: a leader of the past. `gap`: what came before is missing, a complete set is needed. */
  | { readonly ok: false; readonly why: 'stale' | 'gap' };

/** Takes one message of the leader's into the orders. */
export function applyAssignments(orders: Orders, message: Assignments): Applied {
  const to = message.to ?? NOWHERE;
  if (comparePositions(to, orders.position) < 0) return { ok: false, why: 'stale' };
  if (!message.complete && !follows(orders.position, message.from ?? NOWHERE)) {
    return { ok: false, why: 'gap' };
  }
  const tasks = new Map(message.complete ? [] : orders.tasks);
  const services = new Map(message.complete ? [] : orders.services);
  for (const task of message.tasks) tasks.set(task.id, task);
  for (const id of message.removedTasks) tasks.delete(id);
  for (const service of message.services) services.set(service.serviceId, service);
  for (const id of message.removedServices) services.delete(id);
  const servicesChanged =
    message.complete || message.services.length > 0 || message.removedServices.length > 0;
  return {
    ok: true,
    orders: { position: to, tasks, services },
    changed: message.tasks,
    removed: [...orders.tasks.keys()].filter((id) => !tasks.has(id)),
    servicesChanged,
  };
}

/** A new leader's first increment may follow what its predecessor sent. */
function follows(position: Position, from: Position): boolean {
  return position.epoch === from.epoch && position.index === from.index;
}
