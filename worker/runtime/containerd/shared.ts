import type { PortBinding } from '../../../proto/index.ts';
import type { Clock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import type { Random } from '../../../shared/random.ts';
import type { Containerd } from '../../containerd.ts';
import type { ImageStore } from '../../images/image-store.ts';
import type { Dialers, InsideCommand } from '../../inside/dialer.ts';
import type { Io } from '../../io.ts';
import type { Volumes } from '../../mounts/volumes.ts';
import type { ContainerNetwork } from '../../network/container-network.ts';
import type { Exit } from '../../runtime.ts';
import type { GenericUnits } from '../generic-units.ts';
import type { HostSide } from '../oci/host-side.ts';
import type { Ports } from '../process/ports.ts';
import type { Sweeper } from '../process/sweep.ts';
import type { TemplateNode } from '../templates.ts';
import type { CgroupHost } from './cgroup-host.ts';
import type { Records } from './records.ts';
import type { Starts } from './starts.ts';

/** What all containers of one runtime share. */
export interface ContainerdShared {
  readonly io: Io;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly containerd: Containerd;
  readonly images: ImageStore;
  readonly records: Records;
  readonly volumes: Volumes;
  readonly network: ContainerNetwork;
  readonly dialers: Dialers;
  /** The helper that works in containers' files. */
  readonly inside: InsideCommand;
  readonly ports: Ports;
  readonly cgroups: CgroupHost;
  readonly sweeper: Sweeper;
  readonly boot: string;
  readonly node: TemplateNode;
  readonly publishHost: string;
  readonly initPath: string | undefined;
  /** This machine as it is now. */
  readonly host: () => HostSide;
  readonly units: GenericUnits;
  readonly openFilesMax: number;
  readonly starts: Starts;
  /** Index of an address -> the task whose container has it. */
  readonly addresses: Map<number, string>;
  readonly logDirectory: (taskId: string) => string;
  /** Which task ports lead to this task's container; none: it has none any more. */
  readonly publish: (taskId: string, ports: readonly PortBinding[]) => void;
  /** Ends that are just being written down: once for each task, whoever waits. */
  readonly ending: Map<string, Promise<Exit>>;
  /** Ended tasks of which only the files are left, or not even these, as far as this daemon knows. */
  readonly retired: Set<string>;
  /** Tasks of which nothing but the record is left, as far as this daemon knows. */
  readonly dismantled: Set<string>;
  /** Makes room where images of nobody take it. Never rejects. */
  readonly collectImages: () => Promise<void>;
  /** Resolves when namespace and router are there. */
  readonly ready: () => Promise<void>;
  /** Does it in the background, one after the other for each task. Its failure is tried at `remove`. */
  readonly settle: (taskId: string, fn: () => Promise<void>) => void;
  /** Resolves when nothing of the kind is under way for this task. */
  readonly settled: (taskId: string) => Promise<void>;
}
