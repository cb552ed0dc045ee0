import type { Command } from 'commander';
import type { Service } from '../../../proto/index.ts';
import { DEFAULTS } from '../../../shared/limits.ts';
import type { Context } from '../../context.ts';
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
 * What a command does once it has changed a service: waits until that is as it was wished, and
 * resolves with the exit code. Made first, so that a wrong flag changes nothing.
 */
export function waiter(context: Context, flags: Flags): (service: Service) => Promise<number> {
  const settleMs = flags.or('settle', DEFAULTS.settleMs, parseShortDurationMs);
  return async (service) => {
    if (flags.is('detach')) return 0;
    return waitForService(context, {
      id: service.id,
      name: service.spec?.name ?? service.id,
      version: service.version,
      removal: false,
      settleMs,
      quiet: flags.is('quiet'),
    });
  };
}
