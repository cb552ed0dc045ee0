import {
  ContainerSpec,
  EndpointMode,
  EndpointSpec,
  type NetworkAttachmentSpec,
  type PortConfig,
  PublishMode,
  type ServiceSpec,
  TaskSpec,
} from '../../proto/index.ts';
import { assert } from '../../shared/assert.ts';
import { revisionKey } from '../store/schema.ts';
import type { View } from '../store/view.ts';
import { NODE_LOCAL } from './addressing/predefined.ts';
import { bindSources } from './binds.ts';
import { type Constraint, parseConstraint } from './constraint.ts';
import { platformsOf } from './platform.ts';
import { volumeSources } from './volumes.ts';

/** What the loop needs to know of one revision of a service. Computed once: revisions never change. */
export interface RevisionFacts {
  /** `revisionKey` of it. */
  readonly key: string;
  readonly serviceId: string;
  readonly revision: number;
  readonly note: string;
  readonly spec: ServiceSpec;
  readonly task: TaskSpec;
  /** Equal for two revisions between which no task need be restarted. */
  readonly work: string;
  /** Equal for two revisions that want their tasks in the same places. */
  readonly placement: string;
  readonly constraints: readonly Constraint[];
  /** What a node must have in its description: `process` or `containerd`. */
  readonly runtime: 'process' | 'containerd';
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  readonly generic: readonly (readonly [kind: string, count: number])[];
  readonly maxPerNode: number;
  readonly spread: readonly string[];
  readonly ports: readonly PortConfig[];
  /** Networks of the cluster, in the order of the spec; those of the node alone are not among them. */
  readonly networks: readonly NetworkAttachmentSpec[];
  /** A container that is on no network and publishes ports: it is reached through the ingress. */
  readonly usesIngress: boolean;
  /** The service has an address of its own on each network. */
  readonly hasVirtualAddress: boolean;
  /** Host-mode ports of a fixed number, as `protocol/port`. */
  readonly hostPorts: readonly string[];
  /** Of its image, as registries name them; none: not known. */
  readonly platforms: readonly string[];
  /** Named volumes, with placeholders. */
  readonly volumes: readonly string[];
  /** Places of its node that it binds, with placeholders. */
  readonly binds: readonly string[];
  /** Revisions with equal keys fit the same nodes, as far as nodes and not their load decide. */
  readonly nodeKey: string;
}

/** Facts of revisions by key; forgotten with `drop` and `clear`. */
export class Specs {
  readonly #facts = new Map<string, RevisionFacts>();

  /** Throws when the revision is nowhere: a bug, whose service is then quarantined. */
  get(view: View, serviceId: string, revision: number): RevisionFacts {
    const facts = this.find(view, serviceId, revision);
    assert(facts !== undefined, `service ${serviceId} has no revision ${revision}`);
    return facts;
  }
  find(view: View, serviceId: string, revision: number): RevisionFacts | undefined {
    const key = revisionKey(serviceId, revision);
    const known = this.#facts.get(key);
    if (known !== undefined) return known;
    const row = view.table('serviceRevision').get(key);
    const service = view.table('service').get(serviceId);
    const spec = row?.spec ?? (service?.revision === revision ? service.spec : undefined);
    if (spec === undefined || spec === null) return undefined;
    const facts = factsOf(key, serviceId, revision, row?.note ?? '', spec);
    if (row !== undefined) this.#facts.set(key, facts);
    return facts;
  }
  drop(key: string): void {
    this.#facts.delete(key);
  }
  clear(): void {
    this.#facts.clear();
  }
}

function factsOf(
  key: string,
  serviceId: string,
  revision: number,
  note: string,
  spec: ServiceSpec,
): RevisionFacts {
  const task = spec.task;
  assert(task !== null, `service ${serviceId} has no task spec`);
  const constraints: Constraint[] = [];
  // A text that is no constraint matches no node, so that nothing runs where it was not meant to.
  for (const text of task.placement?.constraints ?? [])
    constraints.push(parseConstraint(text) ?? { text, key: '', equal: true, value: '' });
  const ports = spec.endpoint?.ports ?? [];
  const runtime = runtimeOf(task);
  const platforms = platformsOf(task.container);
  const reserved = task.reservations;
  const networks = task.networks.filter(({ target }) => !NODE_LOCAL.has(target));
  return {
    key,
    serviceId,
    revision,
    note,
    spec,
    task,
    work: workOf(task, spec.endpoint),
    placement: JSON.stringify([constraints.map((c) => c.text), task.placement?.maxReplicasPerNode]),
    constraints,
    runtime,
    nanoCpus: reserved?.nanoCpus ?? 0,
    memoryBytes: reserved?.memoryBytes ?? 0,
    generic: Object.entries(reserved?.generic ?? {}),
    maxPerNode: task.placement?.maxReplicasPerNode ?? 0,
    spread: task.placement?.spread ?? [],
    ports,
    networks,
    usesIngress:
      task.container !== null &&
      task.networks.length === 0 &&
      ports.some((port) => port.mode === PublishMode.INGRESS),
    hasVirtualAddress: (spec.endpoint?.mode ?? EndpointMode.VIP) === EndpointMode.VIP,
    hostPorts: ports
      .filter((port) => port.mode === PublishMode.HOST && port.published > 0)
      .map((port) => `${port.protocol}/${port.published}`),
    platforms,
    volumes: volumeSources(spec),
    binds: bindSources(spec),
    nodeKey: [runtime, platforms.join(' '), ...constraints.map((c) => c.text)].join('\n'),
  };
}

/** What a node must have for it. */
export function runtimeOf(task: TaskSpec): 'process' | 'containerd' {
  return task.container === null ? 'process' : 'containerd';
}

/** What says only where a task may run, or was found out of what it is. */
export function withoutPlace(task: TaskSpec): TaskSpec {
  const container = task.container && ContainerSpec.with(task.container, { imagePlatforms: [] });
  return TaskSpec.with(task, { placement: null, ...(container ? { container } : {}) });
}

/** Replicas, labels, update settings and placement are no reason to restart a task. */
function workOf(task: TaskSpec, endpoint: EndpointSpec | null): string {
  const placed = withoutPlace(task);
  return sortedJson([
    TaskSpec.toJson(placed),
    EndpointSpec.toJson(endpoint ?? EndpointSpec.create()),
  ]);
}

/** Maps may come in any order: what they say is the same. */
function sortedJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
