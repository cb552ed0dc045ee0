import type { Network, Node, Service, Task } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { View } from '../store/view.ts';
import { nearest } from './nearest.ts';
import { networkName, serviceName } from './specs.ts';

/**
 * Objects are named by id, name or unique id prefix, in this order. Throws NOT_FOUND (with the
 * nearest name) or AMBIGUOUS (with the candidates).
 */
export function resolveService(view: View, ref: string): Service {
  return pick(ref, {
    kind: 'service',
    list: 'swarm service ls',
    byId: view.table('service').get(ref),
    byName: [...view.table('service').by('name', ref)],
    all: () => view.table('service').all(),
    nameOf: serviceName,
  });
}

/** Networks that somebody made; those of each node have no rows. */
export function resolveNetwork(view: View, ref: string): Network {
  return pick(ref, {
    kind: 'network',
    list: 'swarm network ls',
    byId: view.table('network').get(ref),
    byName: [...view.table('network').by('name', ref)],
    all: () => view.table('network').all(),
    nameOf: networkName,
  });
}

/** `self` is the node that answers. */
export function resolveNode(view: View, ref: string, selfNodeId: string): Node {
  const nodes = view.table('node');
  return pick(ref, {
    kind: 'node',
    list: 'swarm node ls',
    byId: nodes.get(ref) ?? (ref === 'self' ? nodes.get(selfNodeId) : undefined),
    byName: [...nodes.by('name', ref)],
    all: () => nodes.all(),
    nameOf: (node) => node.name,
  });
}

/** Tasks go by SERVICE.SLOT as well: the newest of the slot. */
export function resolveTask(view: View, ref: string): Task {
  return pick(ref, {
    kind: 'task',
    list: 'swarm service ps SERVICE',
    byId: view.table('task').get(ref),
    byName: tasksOfSlot(view, ref),
    all: () => view.table('task').all(),
    nameOf: (task) => taskName(view, task),
  });
}

/** web.3 (replicated) or web.NODE (global). */
export function taskName(view: View, task: Task): string {
  const service = view.table('service').get(task.serviceId);
  const name = service === undefined ? task.serviceId : serviceName(service);
  const node = view.table('node').get(task.nodeId);
  return `${name}.${task.slot > 0 ? task.slot : (node?.name ?? task.nodeId)}`;
}

function tasksOfSlot(view: View, ref: string): Task[] {
  const at = ref.lastIndexOf('.');
  const slot = Number(ref.slice(at + 1));
  if (at <= 0 || !Number.isInteger(slot) || slot < 1) return [];
  const [service] = view.table('service').by('name', ref.slice(0, at));
  if (service === undefined) return [];
  const tasks = [...view.table('task').by('slot', `${service.id}/${slot}`)];
  return tasks.sort((a, b) => b.createdMs - a.createdMs).slice(0, 1);
}

interface Choice<R> {
  readonly kind: string;
  readonly list: string;
  readonly byId: R | undefined;
  readonly byName: readonly R[];
  readonly all: () => Iterable<R>;
  readonly nameOf: (row: R) => string;
}

function pick<R extends { readonly id: string }>(ref: string, choice: Choice<R>): R {
  if (ref === '') throw new SwarmError('INVALID_ARGUMENT', `no ${choice.kind} is named`);
  if (choice.byId !== undefined) return choice.byId;
  const found = choice.byName.length > 0 ? choice.byName : byPrefix(ref, choice);
  if (found.length === 1) return found[0]!;
  if (found.length === 0) throw notFound(ref, choice);
  const shown = found.slice(0, LIMITS.candidatesShownMax);
  const more = found.length > shown.length ? ` and ${found.length - shown.length} more` : '';
  const names = shown.map((row) => `${row.id} (${choice.nameOf(row)})`).sort();
  throw new SwarmError(
    'AMBIGUOUS',
    `"${ref}" names ${found.length} ${choice.kind}s: ${names.join(', ')}${more}`,
  );
}

function byPrefix<R extends { readonly id: string }>(ref: string, choice: Choice<R>): R[] {
  return [...choice.all()].filter((row) => row.id.startsWith(ref));
}

function notFound<R>(ref: string, choice: Choice<R>): SwarmError {
  const names = choice.kind === 'task' ? [] : [...choice.all()].map(choice.nameOf);
  const near = nearest(ref, names);
  const hint = near === undefined ? '' : `; did you mean ${near}?`;
  return new SwarmError('NOT_FOUND', `no ${choice.kind} "${ref.slice(0, 100)}"${hint}`, {
    advice: 'List what is there.',
    command: choice.list,
  });
}
