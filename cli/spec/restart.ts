import { RestartCondition, RestartPolicy } from '../../proto/index.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import { parseShortDurationMs } from '../parse/duration.ts';
import { parseWhole } from '../parse/number.ts';
import { parseWord } from '../parse/words.ts';
import type { Flags } from './flags.ts';

const CONDITIONS = {
  any: RestartCondition.ANY,
  'on-failure': RestartCondition.ON_FAILURE,
  none: RestartCondition.NONE,
};

/** `--restart-*`. The first flag brings the default delay along: 0 would mean "at once". */
export function changeRestart(current: RestartPolicy | null, flags: Flags): RestartPolicy | null {
  const names = ['condition', 'delay', 'max-attempts', 'window'].map((name) => `restart-${name}`);
  if (!flags.has(...names)) return current;
  const base = current ?? RestartPolicy.create({ delayMs: DEFAULTS.restartDelayMs });
  return RestartPolicy.with(base, {
    condition: flags.or('restart-condition', base.condition, (f, t) =>
      parseWord<RestartCondition>(f, t, CONDITIONS),
    ),
    delayMs: flags.or('restart-delay', base.delayMs, parseShortDurationMs),
    maxAttempts: flags.or('restart-max-attempts', base.maxAttempts, (f, t) => parseWhole(f, t)),
    windowMs: flags.or('restart-window', base.windowMs, parseShortDurationMs),
  });
}
