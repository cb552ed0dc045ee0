import {
  ContainersService,
  type MountPoint,
  RuncOptions,
  SnapshotsService,
} from '../../../proto/containerd.ts';
import type { AssignedTask } from '../../../proto/index.ts';
import { unless } from '../../containerd.ts';
import type { ReadyImage } from '../../images/image-store.ts';
import { SNAPSHOTTER } from '../../images/layer-store.ts';
import { SnapshotRoot } from '../../mounts/snapshot-root.ts';
import { type VolumeUse, volumeUse } from '../../mounts/volume-options.ts';
import type { LocalEndpoint } from '../../network/container-network.ts';
import { networkKind } from '../network-kind.ts';
import { missingKnobs } from '../oci/resources.ts';
import {
  askedMounts,
  buildSpec,
  containerOf,
  hostnameOf,
  specJson,
  stopSignalOf,
} from '../oci/spec.ts';
import { writeBoundFiles } from './bound-files.ts';
import {
  attachmentsOf,
  type ContainerRecord,
  endpointOf,
  freeIndex,
  publishedPorts,
} from './records.ts';
import type { ContainerdShared } from './shared.ts';
import { wantedPorts } from './wanted-ports.ts';

const RUNTIME_NAME = 'io.containerd.runc.v2';
const SPEC_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Spec';
const OPTIONS_TYPE = 'containerd.runc.v1.Options';

/** Makes one task's container of its image: its record, its place on the node, its root and its spec. */
export class ContainerMaker {
  readonly #shared: ContainerdShared;
  readonly #task: AssignedTask;
  readonly #id: string;

  constructor(shared: ContainerdShared, task: AssignedTask) {
    this.#shared = shared;
    this.#task = task;
    this.#id = task.id;
  }
  /** Returns its root's mounts where it was made just now; otherwise containerd has to be asked. Repeatable. */
  async make(image: ReadyImage): Promise<readonly MountPoint[] | undefined> {
    const { records, ports, addresses, boot, publishHost, network } = this.#shared;
    const id = this.#id;
    const kind = networkKind(this.#task);
    this.#shared.dismantled.delete(id);
    this.#shared.retired.delete(id);
    const known = records.read(id);
    const reserved = known ?? (await ports.reserve(id, publishHost, wantedPorts(this.#task)));
    const index = known?.index ?? freeIndex(addresses);
    addresses.set(index, id);
    const record: ContainerRecord = {
      boot,
      prepared: false,
      index,
      ports: reserved.ports,
      published: this.#task.ports.map(({ target }) => target),
      attachments: attachmentsOf(this.#task),
      ...(kind === 'own' ? {} : { network: kind }),
      // On the node's own network, and on the ingress, nobody has a name.
      names: this.#task.attachments.length > 0 && (this.#task.spec?.networks.length ?? 0) > 0,
      dns: containerOf(this.#task).dns,
      image: image.digest,
      chainId: image.chainId,
      stopSignal: stopSignalOf(this.#task, image.config),
      terminal: containerOf(this.#task).tty,
      ...(image.config.check === undefined ? {} : { check: image.config.check }),
      warning: missingKnobs(containerOf(this.#task), this.#shared.cgroups.knobs),
    };
    records.write(id, record);
    const endpoint = endpointOf(id, record);
    // Side by side; both have come to their ends before anything is done about a failure.
    const [attached, made] = await Promise.allSettled([
      kind === 'own' ? network.attach(endpoint) : undefined,
      this.#makeContainer(image, endpoint, known !== undefined),
    ]);
    if (attached.status === 'rejected') throw attached.reason;
    if (made.status === 'rejected') throw made.reason;
    this.#shared.publish(id, publishedPorts(record));
    records.markPrepared(id);
    return made.value;
  }
  async #makeContainer(
    image: ReadyImage,
    endpoint: LocalEndpoint,
    again: boolean,
  ): Promise<readonly MountPoint[] | undefined> {
    const { containerd, volumes } = this.#shared;
    const id = this.#id;
    const rootfs = await this.#snapshot(image.chainId);
    for (const use of this.#volumes(image)) await volumes.ensure(id, use, rootfs);
    const spec = this.#spec(image, rootfs, endpoint);
    // One that was made by a daemon which ended half-way may be of another spec.
    if (again) await unless(containerd.call(ContainersService.delete, { id }), 'NOT_FOUND');
    await containerd.call(ContainersService.create, {
      container: {
        id,
        image: image.name,
        labels: { 'swarm.task': id, 'swarm.service': this.#task.serviceName },
        runtime: { name: RUNTIME_NAME, options: runcOptions(this.#shared) },
        spec: { typeUrl: SPEC_TYPE, value: spec },
        snapshotter: SNAPSHOTTER,
        snapshotKey: id,
      },
    });
    return again ? undefined : rootfs;
  }
  async #snapshot(parent: string): Promise<readonly MountPoint[]> {
    const { containerd, clock } = this.#shared;
    const snapshotter = SNAPSHOTTER;
    // Until a container refers to it, only this keeps it from being collected.
    const labels = { 'containerd.io/gc.root': new Date(clock.wallMs()).toISOString() };
    const request = { snapshotter, key: this.#id, parent, labels };
    const made = await unless(containerd.call(SnapshotsService.prepare, request), 'ALREADY_EXISTS');
    return made?.mounts ?? rootMounts(this.#shared, this.#id);
  }
  #volumes(image: ReadyImage): readonly VolumeUse[] {
    const mounts = askedMounts({ task: this.#task, node: this.#shared.node });
    const named = mounts.filter(({ type }) => type === 'volume').map(volumeUse);
    const own = image.config.volumes.filter((target) => !mounts.some((m) => m.target === target));
    return [...named, ...own.map((target) => ({ name: '', target }))];
  }
  #spec(image: ReadyImage, rootfs: readonly MountPoint[], endpoint: LocalEndpoint): Uint8Array {
    const { io, node, network, cgroups, records, initPath, units, host } = this.#shared;
    const id = this.#id;
    const root = new SnapshotRoot(rootfs);
    const hostname = hostnameOf({ task: this.#task, node });
    const isOwn = networkKind(this.#task) === 'own';
    const address = isOwn ? network.containerAddress(endpoint) : '127.0.1.1';
    const container = containerOf(this.#task);
    const place = { hostname, address, names: endpoint.names };
    const files = writeBoundFiles(io, records.files(id), container, place);
    const spec = buildSpec({
      task: this.#task,
      image: image.config,
      users: {
        passwd: root.readText('/etc/passwd') ?? '',
        group: root.readText('/etc/group') ?? '',
      },
      node,
      networkNamespace: network.namespacePath(id),
      cgroupsPath: cgroups.pathFor(id),
      cgroupNamespace: cgroups.unified,
      files,
      initPath,
      host: host(),
      units: units.take(id, this.#task.spec?.reservations?.generic ?? {}),
      openFilesMax: this.#shared.openFilesMax,
      volumePath: (use) => this.#shared.volumes.source(id, use),
    });
    return specJson(spec);
  }
}

/** Where the root of a container comes from. Throws NOT_FOUND when it has none. */
export async function rootMounts(
  { containerd }: ContainerdShared,
  id: string,
): Promise<readonly MountPoint[]> {
  const request = { snapshotter: SNAPSHOTTER, key: id };
  return (await containerd.call(SnapshotsService.mounts, request)).mounts;
}

/** How runc is to make control groups. */
export function runcOptions({ cgroups }: ContainerdShared): {
  readonly typeUrl: string;
  readonly value: Uint8Array;
} {
  const value = RuncOptions.encode(RuncOptions.create({ systemdCgroup: cgroups.systemd }));
  return { typeUrl: OPTIONS_TYPE, value };
}
