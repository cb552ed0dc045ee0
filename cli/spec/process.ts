import { ProcessSpec } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { type Environment, envName } from '../parse/env.ts';
import { splitShellWords } from '../parse/shell-words.ts';
import type { Flags } from './flags.ts';
import { changeList, changeMap } from './list-change.ts';
import { addedEnv, changeUlimits, stopGraceMs } from './surroundings.ts';

/** Flags that only a container can follow. */
const CONTAINER_ONLY = [
  'entrypoint',
  'group',
  'tty',
  'init',
  'hostname',
  'read-only',
  'oom-score-adj',
  'cap-add',
  'cap-drop',
  'sysctl',
  'host',
  'dns',
  'dns-option',
  'dns-search',
  'mount',
  'image',
  'device',
  'privileged',
  'security-opt',
  'shm-size',
  'memory-swap',
  'memory-swappiness',
  'cpu-shares',
  'blkio-weight',
];

/** Refuses what a plain process cannot have. */
function refuseContainerFlags(flags: Flags): void {
  const typed = CONTAINER_ONLY.find((name) => flags.changes(name));
  if (typed === undefined) return;
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `--${typed} needs an image: this is a --process service.`,
    {
      advice: 'Leave it out, or give an image instead of --process.',
    },
  );
}

/** Everything of the process itself. `caller` is the environment that "--env NAME" reads. */
export function changeProcess(base: ProcessSpec, flags: Flags, caller: Environment): ProcessSpec {
  refuseContainerFlags(flags);
  const env = flags.changes('env') || flags.has('env-file');
  return ProcessSpec.with(base, {
    command: changeCommand(base.command, flags),
    env: env
      ? changeList(base.env, addedEnv(flags, caller), flags.removed('env'), envName)
      : base.env,
    workdir: flags.text('workdir') ?? base.workdir,
    user: flags.text('user') ?? base.user,
    stopSignal: flags.text('stop-signal') ?? base.stopSignal,
    stopGraceMs: stopGraceMs(base.stopGraceMs, flags),
    labels: changeMap(base.labels, flags, 'container-label'),
    ulimits: changeUlimits(base.ulimits, flags),
  });
}

/** `--command` is the whole command, `--args` what follows its first word. */
function changeCommand(current: readonly string[], flags: Flags): readonly string[] {
  const whole = flags.text('command');
  const args = flags.text('args');
  const base = whole === undefined ? current : splitShellWords('--command', whole);
  return args === undefined ? base : [...base.slice(0, 1), ...splitShellWords('--args', args)];
}
