import { Ulimit } from '../../proto/index.ts';
import { parseShortDurationMs } from '../parse/duration.ts';
import { type Environment, mergeEnv, parseEnv } from '../parse/env.ts';
import { parseUlimit } from '../parse/ulimit.ts';
import type { Flags } from './flags.ts';
import { changeList } from './list-change.ts';

/**
 * What processes and containers have alike. The lines of `--env-file` come in as `env-file`, read and
 * parsed by the command; a later `--env` wins over them.
 */
export function addedEnv(flags: Flags, caller: Environment): readonly string[] {
  const typed = flags
    .added('env')
    .map((text) => parseEnv('--env', text, caller))
    .filter((entry) => entry !== undefined);
  return mergeEnv(flags.list('env-file'), typed);
}

/** 0 is the field's default of 10 s, so "--stop-grace-period 0" travels as its shortest value. */
export function stopGraceMs(current: number, flags: Flags): number {
  if (!flags.has('stop-grace-period')) return current;
  return Math.max(1, flags.or('stop-grace-period', current, parseShortDurationMs));
}

export function changeUlimits(current: readonly Ulimit[], flags: Flags): readonly Ulimit[] {
  if (!flags.changes('ulimit')) return current;
  const added = flags.added('ulimit').map((text) => Ulimit.create(parseUlimit('--ulimit', text)));
  return changeList(current, added, flags.removed('ulimit'), (ulimit) => ulimit.name);
}
