import { FailureAction, UpdateConfig, UpdateOrder } from '../../proto/index.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import { parseShortDurationMs } from '../parse/duration.ts';
import { parseRatio, parseWhole } from '../parse/number.ts';
import { parseWord } from '../parse/words.ts';
import type { Flags } from './flags.ts';

const ORDERS = { 'stop-first': UpdateOrder.STOP_FIRST, 'start-first': UpdateOrder.START_FIRST };
const UPDATE_ACTIONS = {
  pause: FailureAction.PAUSE,
  continue: FailureAction.CONTINUE,
  rollback: FailureAction.ROLLBACK,
};
const ROLLBACK_ACTIONS = { pause: FailureAction.PAUSE, continue: FailureAction.CONTINUE };

/**
 * `--update-*` and `--rollback-*`. A parallelism of 0 means "all at once", so the first flag brings
 * every default along: a message without them could not say "one at a time".
 */
export function changeUpdateConfig(
  current: UpdateConfig | null,
  flags: Flags,
  prefix: 'update' | 'rollback',
): UpdateConfig | null {
  const names = ['parallelism', 'delay', 'monitor', 'failure-action', 'max-failure-ratio', 'order'];
  names.push('progress-deadline');
  if (!flags.has(...names.map((name) => `${prefix}-${name}`))) return current;
  const base =
    current ??
    UpdateConfig.create({
      parallelism: 1,
      monitorMs: DEFAULTS.updateMonitorMs,
      progressDeadlineMs: DEFAULTS.updateProgressDeadlineMs,
    });
  const actions: { readonly [word: string]: FailureAction } =
    prefix === 'update' ? UPDATE_ACTIONS : ROLLBACK_ACTIONS;
  return UpdateConfig.with(base, {
    parallelism: flags.or(`${prefix}-parallelism`, base.parallelism, (f, t) => parseWhole(f, t)),
    delayMs: flags.or(`${prefix}-delay`, base.delayMs, parseShortDurationMs),
    monitorMs: flags.or(`${prefix}-monitor`, base.monitorMs, parseShortDurationMs),
    failureAction: flags.or(`${prefix}-failure-action`, base.failureAction, (f, t) =>
      parseWord(f, t, actions),
    ),
    maxFailureRatio: flags.or(`${prefix}-max-failure-ratio`, base.maxFailureRatio, parseRatio),
    order: flags.or(`${prefix}-order`, base.order, (f, t) => parseWord<UpdateOrder>(f, t, ORDERS)),
    progressDeadlineMs: flags.or(
      `${prefix}-progress-deadline`,
      base.progressDeadlineMs,
      parseShortDurationMs,
    ),
  });
}
