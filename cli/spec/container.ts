import { ContainerSpec, Mount, Swappiness } from '../../proto/index.ts';
import { parseBytes } from '../parse/bytes.ts';
import { parseDevice } from '../parse/device.ts';
import { type Environment, envName } from '../parse/env.ts';
import { parseMount } from '../parse/mount.ts';
import { parseWhole } from '../parse/number.ts';
import { parseSecurityOption } from '../parse/security-option.ts';
import { splitShellWords } from '../parse/shell-words.ts';
import type { Flags } from './flags.ts';
import { changeList, changeMap, changeWords } from './list-change.ts';
import { addedEnv, changeUlimits, stopGraceMs } from './surroundings.ts';

/** Everything of the container itself. `caller` is the environment that "--env NAME" reads. */
export function changeContainer(
  base: ContainerSpec,
  flags: Flags,
  caller: Environment,
): ContainerSpec {
  const env = flags.changes('env') || flags.has('env-file');
  return ContainerSpec.with(base, {
    ...command(base, flags),
    env: env
      ? changeList(base.env, addedEnv(flags, caller), flags.removed('env'), envName)
      : base.env,
    workdir: flags.text('workdir') ?? base.workdir,
    user: flags.text('user') ?? base.user,
    groups: changeWords(base.groups, flags, 'group'),
    hostname: flags.text('hostname') ?? base.hostname,
    tty: flags.boolean('tty') ?? base.tty,
    init: flags.boolean('init') ?? base.init,
    readOnly: flags.boolean('read-only') ?? base.readOnly,
    stopSignal: flags.text('stop-signal') ?? base.stopSignal,
    stopGraceMs: stopGraceMs(base.stopGraceMs, flags),
    labels: changeMap(base.labels, flags, 'container-label'),
    mounts: changeMounts(base.mounts, flags),
    ...capabilities(base, flags),
    sysctls: changeMap(base.sysctls, flags, 'sysctl'),
    ulimits: changeUlimits(base.ulimits, flags),
    oomScoreAdj: flags.or('oom-score-adj', base.oomScoreAdj, (f, t) =>
      parseWhole(f, t, -1000, 1000),
    ),
    hosts: changeWords(base.hosts, flags, 'host'),
    dns: changeWords(base.dns, flags, 'dns'),
    dnsSearch: changeWords(base.dnsSearch, flags, 'dns-search'),
    dnsOptions: changeWords(base.dnsOptions, flags, 'dns-option'),
    ...rights(base, flags),
    ...weights(base, flags),
  });
}

type Command = Partial<
  Pick<ContainerSpec, 'image' | 'imageAsked' | 'imageLocal' | 'imagePlatforms' | 'command' | 'args'>
>;

function command(base: ContainerSpec, flags: Flags): Command {
  const image = flags.text('image');
  const entrypoint = flags.text('entrypoint');
  const args = flags.text('args');
  return {
    ...(image === undefined
      ? {}
      : { image, imageAsked: '', imageLocal: false, imagePlatforms: [] }),
    command: entrypoint === undefined ? base.command : splitShellWords('--entrypoint', entrypoint),
    args: args === undefined ? base.args : splitShellWords('--args', args),
  };
}

/** Docker's rule: adding wins over dropping; on update `RESET` forgets what was there. */
function capabilities(
  base: ContainerSpec,
  flags: Flags,
): Pick<ContainerSpec, 'capabilityAdd' | 'capabilityDrop'> {
  const add = flags.list('cap-add').map(capability);
  const drop = flags.list('cap-drop').map(capability);
  const union = (current: readonly string[], more: readonly string[], less: readonly string[]) =>
    [...new Set([...(more.includes('RESET') ? [] : current), ...more])].filter(
      (name) => name !== 'RESET' && !less.includes(name),
    );
  return {
    capabilityAdd: union(
      base.capabilityAdd,
      add,
      drop.filter((name) => !add.includes(name)),
    ),
    capabilityDrop: union(base.capabilityDrop, drop, add),
  };
}

function capability(text: string): string {
  const name = text.toUpperCase();
  if (name === 'ALL' || name === 'RESET' || name.startsWith('CAP_')) return name;
  return `CAP_${name}`;
}

type Rights = 'devices' | 'privileged' | 'seccomp' | 'apparmor' | 'noNewPrivileges';

function rights(base: ContainerSpec, flags: Flags): Pick<ContainerSpec, Rights> {
  const devices = flags.added('device').map((text) => parseDevice('--device', text));
  const options = flags
    .list('security-opt')
    .map((text) => parseSecurityOption('--security-opt', text));
  return {
    devices: flags.changes('device')
      ? changeList(base.devices, devices, flags.removed('device'), ({ target }) => target)
      : base.devices,
    privileged: flags.boolean('privileged') ?? base.privileged,
    seccomp: base.seccomp,
    apparmor: base.apparmor,
    noNewPrivileges: base.noNewPrivileges,
    ...Object.assign({}, ...options),
  };
}

type Weights = 'shmBytes' | 'swapBytes' | 'swappiness' | 'cpuShares' | 'blkioWeight';

function weights(base: ContainerSpec, flags: Flags): Pick<ContainerSpec, Weights> {
  return {
    shmBytes: flags.or('shm-size', base.shmBytes, parseBytes),
    swapBytes: flags.or('memory-swap', base.swapBytes, (f, t) =>
      t === '-1' ? -1 : parseBytes(f, t),
    ),
    swappiness: flags.or('memory-swappiness', base.swappiness, (f, t) => {
      const percent = parseWhole(f, t, -1, 100);
      return percent < 0 ? null : Swappiness.create({ percent });
    }),
    cpuShares: flags.or('cpu-shares', base.cpuShares, (f, t) => parseWhole(f, t, 0, 262_144)),
    blkioWeight: flags.or('blkio-weight', base.blkioWeight, (f, t) => parseWhole(f, t, 0, 1_000)),
  };
}

function changeMounts(current: readonly Mount[], flags: Flags): readonly Mount[] {
  if (!flags.changes('mount')) return current;
  const added = flags.added('mount').map((text) => Mount.create(parseMount('--mount', text)));
  return changeList(current, added, flags.removed('mount'), (mount) => mount.target);
}
