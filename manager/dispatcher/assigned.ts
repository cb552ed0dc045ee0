import {
  AssignedTask,
  type Init,
  type PortConfig,
  type Task,
  TaskState,
} from '../../proto/index.ts';
import { loginFor, referenceOf } from '../images/logins.ts';
import { CLUSTER_KEY, revisionKey } from '../store/schema.ts';
import type { View } from '../store/view.ts';

/**
 * What an agent needs to run a task, from committed rows. `undefined` when the scheduler has not
 * let it onto its node yet (global tasks have a node from the start), and when the revision it was
 * made from is gone: such a task has ended long ago and its row goes with the service.
 */
export function assignedTask(view: View, task: Task): AssignedTask | undefined {
  if (task.state < TaskState.ASSIGNED) return undefined;
  const service = view.table('service').get(task.serviceId);
  const revision = view.table('serviceRevision').get(revisionKey(task.serviceId, task.revision));
  const spec = revision?.spec ?? (service?.revision === task.revision ? service.spec : null);
  if (spec === null || spec.task === null) return undefined;
  return AssignedTask.create({
    id: task.id,
    serviceId: task.serviceId,
    serviceName: service?.spec?.name ?? spec.name,
    serviceLabels: spec.labels,
    slot: task.slot,
    revision: task.revision,
    desiredState: task.desiredState,
    spec: spec.task,
    ports: portsOf(view, task.serviceId, spec.endpoint?.ports ?? []),
    index: task.version,
    attachments: task.attachments,
    hostAccess: view.table('cluster').get(CLUSTER_KEY)?.spec?.allowHostAccess === true,
    ...imageParts(view, task, spec.task.container?.image ?? ''),
  });
}

/**
 * What a node needs to get the image. The login is for nodes that pull: one that has ended its task, or
 * is to end it, does not get it.
 */
function imageParts(
  view: View,
  task: Task,
  image: string,
): Pick<Init<AssignedTask>, 'registryAuth' | 'imageOnManagers' | 'keptImages'> {
  if (image === '' || task.desiredState > TaskState.RUNNING) return {};
  const digest = referenceOf(image)?.digest ?? '';
  return {
    registryAuth: loginFor(view, task.serviceId, image),
    imageOnManagers: digest !== '' && view.table('imageBlob').has(digest),
    keptImages: keptImages(view, task.serviceId),
  };
}

/** Digests that the service runs or may go back to: its node does not collect them. */
function keptImages(view: View, serviceId: string): string[] {
  const state = view.table('serviceState').get(serviceId);
  const newest = view.table('service').get(serviceId)?.revision ?? 0;
  const numbers = new Set([
    newest,
    newest - 1,
    state?.runningRevision ?? 0,
    state?.stableRevision ?? 0,
    state?.rollout?.fromRevision ?? 0,
  ]);
  const digests = [...numbers].map((revision) => {
    const row = view.table('serviceRevision').get(revisionKey(serviceId, revision));
    return referenceOf(row?.spec?.task?.container?.image ?? '')?.digest ?? '';
  });
  return [...new Set(digests)].filter((digest) => digest !== '').sort();
}

/** The revision's own ports; where it left the published number open, the allocated one. */
function portsOf(view: View, serviceId: string, wished: readonly PortConfig[]): PortConfig[] {
  const allocated = view.table('serviceState').get(serviceId)?.ports ?? [];
  return wished.map((port) =>
    port.published !== 0 ? port : (allocated.find((one) => isSamePort(one, port)) ?? port),
  );
}

function isSamePort(left: PortConfig, right: PortConfig): boolean {
  return (
    left.protocol === right.protocol && left.target === right.target && left.mode === right.mode
  );
}
