import {
  ContainerSpec,
  LogDriver,
  NetworkAttachmentSpec,
  OnDisconnect,
  ServiceMode,
  ServiceSpec,
  TaskSpec,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { parseShortDurationMs } from '../parse/duration.ts';
import type { Environment } from '../parse/env.ts';
import { invalid } from '../parse/invalid.ts';
import { parseNetwork } from '../parse/network.ts';
import { parseWhole } from '../parse/number.ts';
import { parseWord } from '../parse/words.ts';
import { changeContainer } from './container.ts';
import { changeEndpoint } from './endpoint.ts';
import type { Flags } from './flags.ts';
import { changeHealth, changeReady } from './health.ts';
import { changeList, changeMap } from './list-change.ts';
import { changePlacement } from './placement.ts';
import { changeProcess } from './process.ts';
import { changeLimits, changeReservations } from './resources.ts';
import { changeRestart } from './restart.ts';
import { changeUpdateConfig } from './update-config.ts';

const MODES: { readonly [word: string]: ServiceMode } = {
  replicated: ServiceMode.REPLICATED,
  global: ServiceMode.GLOBAL,
  'replicated-job': ServiceMode.REPLICATED_JOB,
  'global-job': ServiceMode.GLOBAL_JOB,
};

/**
 * The spec of `service create`. `words` are the operands: with `--process` a command of the host, else
 * an image and its arguments. Defaults that the message can leave open are the server's.
 */
export function createSpec(
  flags: Flags,
  words: readonly string[],
  caller: Environment,
): ServiceSpec {
  if (words.length === 0) throw missingOperand(flags);
  const mode = flags.or<ServiceMode>('mode', ServiceMode.REPLICATED, (f, t) =>
    parseWord(f, t, MODES),
  );
  const [image, ...args] = words;
  const base = ServiceSpec.create({
    name: flags.text('name') ?? '',
    mode,
    replicas: isReplicated(mode) ? 1 : 0,
    task: flags.is('process')
      ? { process: { command: words } }
      : { container: { image: image!, args } },
  });
  return changeSpec(base, flags, caller);
}

/** The current spec with the flags of `service update` put over it; nothing else is touched. */
export function changeSpec(current: ServiceSpec, flags: Flags, caller: Environment): ServiceSpec {
  return ServiceSpec.with(current, {
    labels: changeMap(current.labels, flags, 'label'),
    replicas: changeReplicas(current, flags),
    maxConcurrent: flags.or('max-concurrent', current.maxConcurrent, (f, t) => parseWhole(f, t)),
    task: changeTask(current.task ?? TaskSpec.create(), flags, caller),
    update: changeUpdateConfig(current.update, flags, 'update'),
    rollback: changeUpdateConfig(current.rollback, flags, 'rollback'),
    endpoint: changeEndpoint(current.endpoint, flags),
  });
}

function isReplicated(mode: ServiceMode): boolean {
  return mode === ServiceMode.REPLICATED || mode === ServiceMode.REPLICATED_JOB;
}

function changeReplicas(current: ServiceSpec, flags: Flags): number {
  if (!flags.has('replicas')) return current.replicas;
  if (!isReplicated(current.mode)) {
    throw new SwarmError('INVALID_ARGUMENT', '--replicas does not go with a global service.', {
      advice: 'A global service runs one task on every node: leave --replicas out.',
    });
  }
  return flags.or('replicas', current.replicas, (f, t) => parseWhole(f, t));
}

function changeTask(current: TaskSpec, flags: Flags, caller: Environment): TaskSpec {
  return TaskSpec.with(current, {
    ...changeRuntime(current, flags, caller),
    limits: changeLimits(current.limits, flags),
    reservations: changeReservations(current.reservations, flags),
    restart: changeRestart(current.restart, flags),
    placement: changePlacement(current.placement, flags),
    health: changeHealth(current.health, flags),
    ready: changeReady(current.ready, flags),
    forceUpdate: current.forceUpdate + (flags.is('force') ? 1 : 0),
    drainTimeMs: changeDrain(current.drainTimeMs, flags),
    ...changeOnDisconnect(flags),
    logDriver: changeLogDriver(current.logDriver, flags),
    networks: changeNetworks(current.networks, flags),
  });
}

function changeRuntime(
  current: TaskSpec,
  flags: Flags,
  caller: Environment,
): Pick<TaskSpec, 'process'> | Pick<TaskSpec, 'container'> {
  if (current.process !== null) return { process: changeProcess(current.process, flags, caller) };
  if (flags.has('command')) {
    throw new SwarmError('INVALID_ARGUMENT', '--command is for --process services.', {
      advice: 'A service with an image has --entrypoint and --args.',
    });
  }
  return { container: changeContainer(current.container ?? ContainerSpec.create(), flags, caller) };
}

/** 0 is the field's default of 10 s, so "--drain-time 0" travels as its shortest value. */
function changeDrain(current: number, flags: Flags): number {
  if (!flags.has('drain-time')) return current;
  return Math.max(1, flags.or('drain-time', current, parseShortDurationMs));
}

/** `--on-disconnect keep | stop | stop=30s`. */
function changeOnDisconnect(
  flags: Flags,
): Partial<Pick<TaskSpec, 'onDisconnect' | 'onDisconnectAfterMs'>> {
  const text = flags.text('on-disconnect');
  if (text === undefined) return {};
  if (text === 'keep') return { onDisconnect: OnDisconnect.KEEP, onDisconnectAfterMs: 0 };
  const [word, after] = text.split('=', 2);
  if (word !== 'stop') throw invalid('--on-disconnect', text, 'keep, stop or stop=30s');
  const afterMs = after === undefined ? 0 : parseShortDurationMs('--on-disconnect', after);
  return { onDisconnect: OnDisconnect.STOP, onDisconnectAfterMs: afterMs };
}

function changeLogDriver(current: LogDriver | null, flags: Flags): LogDriver | null {
  if (!flags.has('log-driver', 'log-opt')) return current;
  const base = current ?? LogDriver.create();
  return LogDriver.with(base, {
    name: flags.text('log-driver') ?? base.name,
    options: changeMap(flags.has('log-driver') ? {} : base.options, flags, 'log-opt'),
  });
}

function changeNetworks(
  current: readonly NetworkAttachmentSpec[],
  flags: Flags,
): readonly NetworkAttachmentSpec[] {
  if (!flags.changes('network')) return current;
  const added = flags
    .added('network')
    .map((text) => NetworkAttachmentSpec.create(parseNetwork('--network', text)));
  return changeList(current, added, flags.removed('network'), (network) => network.target);
}

function missingOperand(flags: Flags): SwarmError {
  const what = flags.is('process') ? 'the command to run' : 'an image';
  return new SwarmError('INVALID_ARGUMENT', `service create needs ${what} after the options.`, {
    advice: 'Put it last: its own options are passed on untouched.',
    command: flags.is('process')
      ? 'swarm service create --name web --process python3 -m http.server'
      : 'swarm service create --name web nginx:1.27',
  });
}
