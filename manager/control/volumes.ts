import {
  type ListRequest,
  ListVolumesResponse,
  type Node,
  type NodeVolume,
  VolumeView,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { isAssigned, isFinal } from '../loop/task-facts.ts';
import { tyingVolumes, volumeSources } from '../loop/volumes.ts';
import type { View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { compileFilters, hasLabel } from './filters.ts';
import type { FreshReads } from './freshness.ts';
import { taskName } from './resolve.ts';
import { serviceName, specOfTask } from './specs.ts';

/** Named volumes of all nodes. What is done with one is done by its node: see TaskStreams. */
export class Volumes {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async list(request: ListRequest, context: CallContext): Promise<ListVolumesResponse> {
    const passes = compileFilters(request.filters, FILTERS);
    const freshness = await this.#reads.before(context.consistency);
    const { view } = this.#deps.store;
    const volumes = [...view.table('nodeVolumes').all()].flatMap((row) => {
      const users = usersOn(view, row.id);
      const node = view.table('node').get(row.id);
      return row.volumes.map((volume) => viewOf(view, row.id, node, volume, users));
    });
    const found = volumes.filter(passes).sort(byName);
    return ListVolumesResponse.with(ListVolumesResponse.create(), { volumes: found, freshness });
  }
}

/**
 * Throws IN_USE, naming who uses it: a service would begin with an empty one without a word. The node
 * itself knows of tasks that are on their way out.
 */
export function refuseUsedVolume(view: View, node: Node, name: string): void {
  const services = servicesWith(view, name);
  const tasks = usersOn(view, node.id).get(name) ?? [];
  if (services.length + tasks.length === 0) return;
  const of = services.length > 0 ? `service ${services.join(', ')}` : tasks.join(', ');
  throw new SwarmError('IN_USE', `volume ${name} on ${node.name} is used by ${of}`, {
    advice: 'Remove what uses it, or update it not to mount the volume.',
    command: services.length > 0 ? `swarm service rm ${services[0]}` : 'swarm volume ls',
  });
}

const FILTERS = {
  name: ({ volume }: VolumeView, value: string) => volume!.name.includes(value),
  node: ({ nodeId, nodeName }: VolumeView, value: string) =>
    nodeName === value || nodeId.startsWith(value),
  label: ({ volume }: VolumeView, value: string) => hasLabel(volume!.labels, value),
  driver: (_view: VolumeView, value: string) => value === 'local',
  dangling: ({ tasks, services }: VolumeView, value: string) =>
    (tasks.length + services.length === 0) === ['true', '1'].includes(value),
};

function viewOf(
  view: View,
  nodeId: string,
  node: Node | undefined,
  volume: NodeVolume,
  users: ReadonlyMap<string, readonly string[]>,
): VolumeView {
  const seen = VolumeView.create({
    nodeId,
    nodeName: node?.name ?? nodeId,
    tasks: users.get(volume.name) ?? [],
    services: servicesWith(view, volume.name),
  });
  return VolumeView.with(seen, { volume });
}

/** Volume -> names of the node's tasks that mount it and have not ended. */
function usersOn(view: View, nodeId: string): ReadonlyMap<string, readonly string[]> {
  const users = new Map<string, string[]>();
  for (const task of view.table('task').by('node', nodeId)) {
    const status = view.table('taskStatus').get(task.id);
    if (!isAssigned(task) || isFinal({ task, status })) continue;
    const spec = specOfTask(view, task);
    if (spec === undefined) continue;
    const sources = volumeSources(spec);
    const tying = tyingVolumes(spec, sources, task.serviceId, task.slot);
    for (const name of new Set([...sources, ...tying]))
      users.set(name, [...(users.get(name) ?? []), taskName(view, task)].sort());
  }
  return users;
}

/** Services that name it, whatever runs of them now. */
function servicesWith(view: View, name: string): readonly string[] {
  const services = [...view.table('service').all()].filter(
    ({ spec, removing }) => !removing && spec !== null && volumeSources(spec).includes(name),
  );
  return services.map(serviceName).sort();
}

function byName(a: VolumeView, b: VolumeView): number {
  const [left, right] = [
    [a.volume!.name, a.nodeName],
    [b.volume!.name, b.nodeName],
  ].map((words) => words.join('\n')) as [string, string];
  return left < right ? -1 : left > right ? 1 : 0;
}
