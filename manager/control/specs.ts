import {
  EndpointSpec,
  type Network,
  type Service,
  ServiceSpec,
  type Task,
  TaskSpec,
  TaskState,
} from '../../proto/index.ts';
import { withoutPlace } from '../loop/specs.ts';
import { revisionKey } from '../store/schema.ts';
import type { View } from '../store/view.ts';

export function serviceName(service: Service): string {
  return service.spec?.name ?? service.id;
}

export function networkName(network: Network): string {
  return network.spec?.name ?? network.id;
}

/** The spec that a task was made from; the service's own when that revision is gone. */
export function specOfTask(view: View, task: Task): ServiceSpec | undefined {
  const revision = view.table('serviceRevision').get(revisionKey(task.serviceId, task.revision));
  return revision?.spec ?? view.table('service').get(task.serviceId)?.spec ?? undefined;
}

/** Same wish, whatever the order of labels and however zeros were written. */
export function sameSpec(a: ServiceSpec, b: ServiceSpec): boolean {
  return canonical(ServiceSpec.toJson(a)) === canonical(ServiceSpec.toJson(b));
}

/** Same task but for where it may run: going from one to the other replaces no task. */
export function sameTask(a: ServiceSpec, b: ServiceSpec): boolean {
  return workOf(a) === workOf(b);
}

function workOf(spec: ServiceSpec): string {
  const placed = withoutPlace(spec.task ?? TaskSpec.create());
  const endpoint = EndpointSpec.toJson(spec.endpoint ?? EndpointSpec.create());
  return canonical([TaskSpec.toJson(placed), endpoint]);
}

/** Image or command line, for people. */
export function describeTask(task: TaskSpec | null | undefined): string {
  if (task?.container) {
    const { image, imageAsked, imageLocal } = task.container;
    return `${imageAsked || image}${imageLocal ? ' (local)' : ''}`;
  }
  return (task?.process?.command ?? []).map(shellWord).join(' ');
}

export function isFinal(state: TaskState): boolean {
  return state > TaskState.RUNNING;
}

/** RUNNING for TaskState.RUNNING. */
export function stateName(state: TaskState): string {
  const found = Object.entries(TaskState).find(([, number]) => number === state);
  return found?.[0] ?? String(state);
}

function shellWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, part: unknown) => {
    if (typeof part !== 'object' || part === null || Array.isArray(part)) return part;
    const entries = Object.entries(part).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    return Object.fromEntries(entries);
  });
}
