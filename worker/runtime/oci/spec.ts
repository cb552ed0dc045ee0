import {
  type AssignedTask,
  type ContainerSpec,
  Device,
  Mount,
  type Ulimit,
} from '../../../proto/index.ts';
import type { ImageConfig } from '../../../shared/distribution/documents.ts';
import { hostAccessOf, isOwnSysctl } from '../../../shared/host-access.ts';
import {
  bindMount,
  checkTarget,
  type OciMount,
  standardMounts,
  userMounts,
} from '../../mounts/container-mounts.ts';
import type { VolumeUse } from '../../mounts/volume-options.ts';
import { RuntimeError } from '../../runtime.ts';
import type { HeldUnits } from '../generic-units.ts';
import { type NetworkKind, networkKind } from '../network-kind.ts';
import { parseSignal } from '../process/exit.ts';
import { expandTemplate, type TemplateNode } from '../templates.ts';
import { profileFor } from './apparmor.ts';
import { capabilitySet, unknownCapability } from './capabilities.ts';
import { type ContainerUser, containerUser, type UserFiles } from './container-user.ts';
import { allDevices, askedDevices, type OciDevice } from './devices.ts';
import type { HostSide } from './host-side.ts';
import { type OciResources, ociResources } from './resources.ts';
import {
  customSeccomp,
  type SeccompPlace,
  type SeccompProfile,
  seccompProfile,
} from './seccomp.ts';

/** Everything that the spec of a container is made from; nothing else goes in. */
export interface SpecInput {
  readonly task: AssignedTask;
  readonly image: ImageConfig;
  readonly users: UserFiles;
  readonly node: TemplateNode;
  /** Path of the one that it joins. */
  readonly networkNamespace: string;
  readonly cgroupsPath: string;
  /** A cgroup v2 only machine: containers see their own group alone. */
  readonly cgroupNamespace: boolean;
  /** Files of this task on the node, bound over those of the image. */
  readonly files: { readonly hosts: string; readonly hostname: string; readonly resolv: string };
  /** A static init on this node; undefined: there is none. */
  readonly initPath: string | undefined;
  readonly host: HostSide;
  /** Its share of the node's generic resources. */
  readonly units: HeldUnits;
  readonly volumePath: (use: VolumeUse) => string;
  /** Open files that a process of this node may have. */
  readonly openFilesMax: number;
}

export interface OciProcess {
  readonly terminal: boolean;
  readonly user: {
    readonly uid: number;
    readonly gid: number;
    readonly additionalGids: readonly number[];
  };
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly cwd: string;
  readonly capabilities: { readonly [set: string]: readonly string[] };
  readonly rlimits: readonly {
    readonly type: string;
    readonly soft: number;
    readonly hard: number;
  }[];
  readonly noNewPrivileges: boolean;
  readonly oomScoreAdj: number;
  readonly apparmorProfile?: string;
  readonly consoleSize?: { readonly width: number; readonly height: number };
}

/** The parts of an OCI runtime spec that are used. */
export interface OciSpec {
  readonly ociVersion: string;
  readonly process: OciProcess;
  readonly root: { readonly path: string; readonly readonly: boolean };
  readonly hostname: string;
  readonly mounts: readonly OciMount[];
  readonly linux: {
    readonly sysctl: { readonly [key: string]: string };
    readonly resources: OciResources;
    readonly cgroupsPath: string;
    readonly namespaces: readonly { readonly type: string; readonly path?: string }[];
    readonly devices?: readonly Omit<OciDevice, 'access'>[];
    readonly rootfsPropagation?: string;
    readonly seccomp?: SeccompProfile;
    readonly maskedPaths: readonly string[];
    readonly readonlyPaths: readonly string[];
  };
}

const INIT_PATH = '/sbin/docker-init';
const UNCONFINED = 'unconfined';
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const MASKED =
  '/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats ' +
  '/proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats ' +
  '/sys/devices/virtual/powercap /sys/firmware';
const READONLY = '/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger';
/** As in a namespace of one's own nothing else listens there. */
const DEFAULT_SYSCTLS = {
  'net.ipv4.ip_unprivileged_port_start': '0',
  'net.ipv4.ping_group_range': '0 2147483647',
};
const OPEN_FILES = { soft: 1_024, hard: 524_288 };

/** Docker's defaults and what the service asks for. Throws RuntimeError for what can't be. */
export function buildSpec(input: SpecInput): OciSpec {
  const { image } = input;
  const spec = containerOf(input.task);
  refuse(input);
  const user = containerUser(spec.user || image.user, spec.groups, input.users);
  const capabilities = rightsOf(spec, input.host);
  const hostname = hostnameOf(input);
  const { apparmor, privileged } = spec;
  const apparmorProfile = profileFor({ asked: apparmor, privileged }, input.host.apparmor);
  const process: OciProcess = {
    terminal: spec.tty,
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    args: [...(spec.init ? [INIT_PATH, '--'] : []), ...commandOf(spec, image)],
    env: environmentOf(input, hostname, user),
    cwd: spec.workdir || image.workdir || '/',
    capabilities: capabilitiesOf(capabilities, user.uid),
    rlimits: rlimitsOf(spec.ulimits, input.openFilesMax),
    noNewPrivileges: spec.noNewPrivileges,
    oomScoreAdj: spec.oomScoreAdj,
    ...(apparmorProfile === undefined ? {} : { apparmorProfile }),
  };
  return {
    ociVersion: '1.0.2',
    process,
    root: { path: 'rootfs', readonly: spec.readOnly },
    hostname,
    mounts: mountsOf(input, spec),
    linux: linuxOf(input, spec, capabilities),
  };
}

function linuxOf(
  input: SpecInput,
  spec: ContainerSpec,
  capabilities: ReadonlySet<string>,
): OciSpec['linux'] {
  const { task, host, node } = input;
  const { architecture } = node;
  const devices = devicesOf(input, spec);
  const { kernel, x32 } = host;
  const seccomp = seccompOf(spec, { architecture, capabilities, kernel, x32 });
  const propagation = propagationOf(spec);
  return {
    sysctl: { ...(networkKind(input.task) === 'host' ? {} : DEFAULT_SYSCTLS), ...spec.sysctls },
    ...(devices.length === 0 ? {} : { devices: devices.map(({ access: _, ...rest }) => rest) }),
    resources: ociResources(task.spec?.limits ?? null, spec, host.knobs, devices),
    cgroupsPath: input.cgroupsPath,
    namespaces: namespacesOf(input),
    ...(propagation === undefined ? {} : { rootfsPropagation: propagation }),
    ...(seccomp === undefined ? {} : { seccomp }),
    maskedPaths: spec.privileged ? [] : MASKED.split(' '),
    readonlyPaths: spec.privileged ? [] : READONLY.split(' '),
  };
}

function rightsOf(spec: ContainerSpec, host: HostSide): ReadonlySet<string> {
  if (spec.privileged) return new Set(host.capabilities);
  return capabilitySet(spec.capabilityAdd, spec.capabilityDrop, host.capabilities);
}

function devicesOf({ host, units }: SpecInput, spec: ContainerSpec): readonly OciDevice[] {
  const own = units.devices.map((path) => Device.create({ host: path }));
  const all = spec.privileged ? allDevices(host.files) : [];
  const devices = [...all, ...askedDevices(host.files, [...own, ...spec.devices])];
  // What was asked for last stands: another path, or fewer rights.
  return [...new Map(devices.map((device) => [device.path, device])).values()];
}

/** Undefined: no filter. */
function seccompOf(spec: ContainerSpec, place: SeccompPlace): SeccompProfile | undefined {
  if (spec.seccomp === UNCONFINED || (spec.privileged && spec.seccomp === '')) return undefined;
  if (spec.seccomp !== '') return customSeccomp(spec.seccomp, place);
  return seccompProfile(place);
}

/** Mounts that come and go on the node are seen in a bind only where the root lets them through. */
function propagationOf(spec: ContainerSpec): string | undefined {
  const asked = spec.mounts.map(({ options }) => options['bind-propagation'] ?? '');
  if (asked.some((each) => each.endsWith('shared'))) return 'shared';
  return asked.some((each) => each.endsWith('slave')) ? 'rslave' : undefined;
}

/** What the service says, else the image, else what every program understands. */
export function stopSignalOf(task: AssignedTask, image: Pick<ImageConfig, 'stopSignal'>): string {
  const text = task.spec?.container?.stopSignal || image.stopSignal || 'SIGTERM';
  return parseSignal(text) ?? 'SIGTERM';
}

/** The spec of a container task. Throws RuntimeError UNSUPPORTED for another one. */
export function containerOf(task: AssignedTask): ContainerSpec {
  if (task.spec?.container) return task.spec.container;
  throw new RuntimeError('UNSUPPORTED', 'this is no service with an image');
}

/** Checks that need no image, so that nothing is pulled in vain. */
export function refuse(input: Pick<SpecInput, 'task' | 'node' | 'host'>): void {
  const spec = containerOf(input.task);
  const mounts = askedMounts(input);
  const capability = unknownCapability([...spec.capabilityAdd, ...spec.capabilityDrop]);
  if (capability !== undefined) {
    throw new RuntimeError('INVALID_SPEC', `${capability} is no capability of Linux`);
  }
  // Binds have a check of their own, that knows what this node offers.
  const { networks = [] } = input.task.spec ?? {};
  const access = input.task.hostAccess ? undefined : hostAccessOf(spec, () => true, networks);
  if (access !== undefined) {
    const text = `${access.what} makes a container root on its host, which the cluster does not allow`;
    throw new RuntimeError('NOT_ALLOWED', text);
  }
  // With the host's network those of the network are the host's, too.
  const isHost = networkKind(input.task) === 'host';
  const sysctl = Object.keys(spec.sysctls).find(
    (key) => !isOwnSysctl(key) || (isHost && key.startsWith('net')),
  );
  if (sysctl !== undefined) {
    throw new RuntimeError(
      'NOT_ALLOWED',
      `the sysctl ${sysctl} belongs to the whole node, not to one container: leave it out`,
    );
  }
  for (const { target } of mounts) checkTarget(target);
  userMounts(
    mounts,
    () => '',
    (mount) => input.host.bind(mount, input.task.hostAccess),
  );
  rlimitsOf(spec.ulimits, 0);
  if (spec.stopSignal !== '' && parseSignal(spec.stopSignal) === undefined) {
    throw new RuntimeError('INVALID_SPEC', `${spec.stopSignal} is no signal: change --stop-signal`);
  }
}

/** The host name that a container sees. */
export function hostnameOf({ task, node }: Pick<SpecInput, 'task' | 'node'>): string {
  const asked = task.spec?.container?.hostname ?? '';
  return expandTemplate(asked, task, node) || task.id.slice(0, 12);
}

function commandOf(spec: ContainerSpec, image: ImageConfig): readonly string[] {
  const own = spec.command.length > 0;
  const entrypoint = own ? spec.command : image.entrypoint;
  const args = own || spec.args.length > 0 ? spec.args : image.cmd;
  const command = [...entrypoint, ...args];
  if (command.length === 0) {
    throw new RuntimeError('INVALID_SPEC', 'the image names no command: give one after the image');
  }
  return command;
}

function environmentOf(
  { task, image, node, units }: SpecInput,
  hostname: string,
  user: ContainerUser,
): readonly string[] {
  const spec = containerOf(task);
  const env = new Map<string, string>([
    ['PATH', DEFAULT_PATH],
    ['HOSTNAME', hostname],
  ]);
  if (spec.tty) env.set('TERM', 'xterm');
  for (const entry of [...image.env, ...units.env]) setEntry(env, entry);
  for (const entry of spec.env) setEntry(env, expandTemplate(entry, task, node));
  if (!env.has('HOME')) env.set('HOME', user.home);
  return [...env].map(([key, value]) => `${key}=${value}`);
}

/** An entry without a value takes the variable away, as with Docker. */
function setEntry(env: Map<string, string>, entry: string): void {
  const at = entry.indexOf('=');
  if (at > 0) env.set(entry.slice(0, at), entry.slice(at + 1));
  else if (at < 0) env.delete(entry);
}

function capabilitiesOf(
  set: ReadonlySet<string>,
  uid: number,
): { readonly [set: string]: readonly string[] } {
  return capabilitySets([...set].map((name) => `CAP_${name}`).sort(), uid);
}

/** The same bounds for a command of another user in the same container. */
export function capabilitiesFor(
  { capabilities }: Pick<OciProcess, 'capabilities'>,
  uid: number,
): OciProcess['capabilities'] {
  return capabilitySets(capabilities['bounding'] ?? [], uid);
}

function capabilitySets(names: readonly string[], uid: number): OciProcess['capabilities'] {
  // Who is not root has none at first, and can get them only from a file that gives them.
  const own = uid === 0 ? names : [];
  return { bounding: names, effective: own, permitted: own, inheritable: [], ambient: [] };
}

const RLIMITS = new Set(
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(
    ' ',
  ),
);

function rlimitsOf(ulimits: readonly Ulimit[], openFilesMax: number): OciProcess['rlimits'] {
  const given = ulimits.map(({ name, soft, hard }) => {
    if (!RLIMITS.has(name)) throw new RuntimeError('INVALID_SPEC', `${name} is no ulimit`);
    return { type: `RLIMIT_${name.toUpperCase()}`, soft: unlimited(soft), hard: unlimited(hard) };
  });
  const type = 'RLIMIT_NOFILE';
  if (given.some((limit) => limit.type === type)) return given;
  const hard = Math.min(OPEN_FILES.hard, openFilesMax);
  return [{ type, soft: Math.min(OPEN_FILES.soft, hard), hard }, ...given];
}

/** -1 stands for no limit; see `specJson`. */
function unlimited(limit: number): number {
  return limit < 0 ? -1 : limit;
}

/** As runc reads it. No limit is 2^64-1 there, which is no number of JavaScript's. */
export function specJson(value: OciSpec | OciProcess): Uint8Array {
  const text = JSON.stringify(value).replaceAll(/"(soft|hard)":-1\b/g, '"$1":18446744073709551615');
  return Buffer.from(text);
}

/** The mounts that the service asks for, with this task's values in their placeholders. */
export function askedMounts({ task, node }: Pick<SpecInput, 'task' | 'node'>): readonly Mount[] {
  return containerOf(task).mounts.map((mount) =>
    Mount.with(mount, {
      source: expandTemplate(mount.source, task, node),
      target: expandTemplate(mount.target, task, node),
    }),
  );
}

function mountsOf(input: SpecInput, spec: ContainerSpec): readonly OciMount[] {
  const { files, image, initPath, cgroupNamespace, volumePath, host, task } = input;
  if (spec.init && initPath === undefined) {
    throw new RuntimeError(
      'UNSUPPORTED',
      'this node has no init for --init: install tini there, or leave it out',
    );
  }
  const asked = askedMounts(input);
  const targets = new Set(asked.map(({ target }) => target.replace(/\/$/, '')));
  const anonymous = image.volumes.filter((target) => !targets.has(target.replace(/\/$/, '')));
  for (const target of anonymous) checkTarget(target);
  return [
    ...standardMounts({
      privateCgroup: cgroupNamespace,
      privileged: spec.privileged,
      shmBytes: spec.shmBytes,
    }),
    bindMount(files.resolv, '/etc/resolv.conf', ['rw']),
    bindMount(files.hostname, '/etc/hostname', ['rw']),
    bindMount(files.hosts, '/etc/hosts', ['rw']),
    ...(spec.init && initPath !== undefined ? [bindMount(initPath, INIT_PATH, ['ro'])] : []),
    ...userMounts(
      [
        ...asked,
        ...anonymous.map((target) => ({
          type: 'volume',
          source: '',
          target,
          readOnly: false,
          options: {},
        })),
      ],
      volumePath,
      (mount) => host.bind(mount, task.hostAccess),
    ),
  ];
}

/** None named: runc stays in its own, which is the host's. Without a path: a new one, with loopback. */
function networkOf(kind: NetworkKind, path: string): OciSpec['linux']['namespaces'] {
  if (kind === 'host') return [];
  return [kind === 'none' ? { type: 'network' } : { type: 'network', path }];
}

function namespacesOf({
  task,
  networkNamespace,
  cgroupNamespace,
}: SpecInput): OciSpec['linux']['namespaces'] {
  return [
    { type: 'pid' },
    { type: 'ipc' },
    { type: 'uts' },
    { type: 'mount' },
    ...networkOf(networkKind(task), networkNamespace),
    ...(cgroupNamespace ? [{ type: 'cgroup' }] : []),
  ];
}
