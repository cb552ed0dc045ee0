import type { Command } from 'commander';
import { ClusterSpec } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import { parseDurationMs, parseShortDurationMs } from '../../parse/duration.ts';
import { parseBoolean, parseWhole } from '../../parse/number.ts';
import type { Flags } from '../../spec/flags.ts';

/** Flag → field of ClusterSpec. */
const FIELDS: { readonly [flag: string]: keyof ClusterSpec } = {
  'task-history-limit': 'taskHistoryLimit',
  'node-grace': 'nodeGraceMs',
  'restart-grace': 'restartGraceMs',
  'election-timeout': 'electionTimeoutMs',
  'allow-host-access': 'allowHostAccess',
  'cert-expiry': 'certExpiryMs',
};

/** The cluster's settings: of `init` and of `update`. */
export function declareSettings(command: Command): Command {
  return command
    .option('--task-history-limit <N>', 'Ended tasks that are kept for each slot (default 5)')
    .option('--node-grace <TIME>', 'Silence after which a node is down (default 4s)')
    .option('--restart-grace <TIME>', "Time for a daemon's announced restart (default 60s)")
    .option('--election-timeout <TIME>', 'Scales all timers of consensus (default 500ms)')
    .option('--allow-host-access [BOOL]', 'Services may ask for what makes them root on a node')
    .option('--cert-expiry <TIME>', 'Life of node certificates (default 2160h: 90 days)');
}

/** What was typed, and the names of those fields; the others are zero. */
export function settingsOf(flags: Flags): { spec: ClusterSpec; fields: readonly string[] } {
  const spec = ClusterSpec.create({
    taskHistoryLimit: flags.or('task-history-limit', 0, (f, t) => parseWhole(f, t)),
    nodeGraceMs: flags.or('node-grace', 0, parseShortDurationMs),
    restartGraceMs: flags.or('restart-grace', 0, parseShortDurationMs),
    electionTimeoutMs: flags.or('election-timeout', 0, parseShortDurationMs),
    allowHostAccess:
      flags.is('allow-host-access') || flags.or('allow-host-access', false, parseBoolean),
    certExpiryMs: flags.or('cert-expiry', 0, parseDurationMs),
  });
  const fields = Object.keys(FIELDS).filter((flag) => flags.has(flag));
  return { spec, fields: fields.map((flag) => FIELDS[flag]!) };
}

/** What the cluster says about a setting, by the name that was typed. */
export function inFlags(error: unknown): unknown {
  const field = SwarmError.is(error) ? error.details['field'] : undefined;
  const flag = field?.replace(/_ms$/, '').replaceAll('_', '-');
  if (!SwarmError.is(error) || flag === undefined || FIELDS[flag] === undefined) return error;
  const { code, message, advice, command, details } = error;
  const text = message.replace(`${field}:`, `--${flag}:`);
  return new SwarmError(code, text, { cause: error, advice, command, details });
}
