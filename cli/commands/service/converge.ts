import type { Command } from 'commander';
import type { ServiceView } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import type { Context } from '../../context.ts';
import { warn } from '../../output/warning.ts';
import { formatDurationMs, parseShortDurationMs } from '../../parse/duration.ts';
import type { Flags } from '../../spec/flags.ts';
import { waitForService } from '../../wait.ts';
import { declareDetach } from '../shared-options.ts';

/** The options of every command that changes a service and waits for it. */
export function declareConverge(command: Command): Command {
  const standard = formatDurationMs(DEFAULTS.settleMs);
  return declareDetach(command).option(
    '--settle <DURATION>',
    `How long tasks without a health check must stay up before it ends (default ${standard})`,
  );
}

/**
 * What a command does once it has changed a service: prints its warnings, waits until it is as it was
 * wished, and resolves with the exit code. Made first, so that a wrong flag changes nothing.
 */
export function waiter(context: Context, flags: Flags): (view: ServiceView) => Promise<number> {
  const settleMs = flags.or('settle', DEFAULTS.settleMs, parseShortDurationMs);
  return async ({ service, warnings }) => {
    warn(context, warnings);
    if (flags.is('detach')) return 0;
    const { id, version, spec } = service!;
    const name = spec?.name ?? id;
    const quiet = flags.is('quiet');
    const told = warnings;
    return waitForService(context, { id, name, version, removal: false, settleMs, told, quiet });
  };
}
