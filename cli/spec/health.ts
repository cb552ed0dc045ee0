import { HealthCheck, Probe } from '../../proto/index.ts';
import { parseShortDurationMs } from '../parse/duration.ts';
import { parseWhole } from '../parse/number.ts';
import type { Flags } from './flags.ts';

const TIMES = ['interval', 'timeout', 'retries', 'start-period', 'start-interval'];

/** `--health-*` and `--no-healthcheck`: one kind of check; a new kind takes the place of the old. */
export function changeHealth(current: HealthCheck | null, flags: Flags): HealthCheck | null {
  flags.exclusive('health-cmd', 'health-http', 'health-tcp', 'no-healthcheck');
  const times = TIMES.map((name) => `health-${name}`);
  const typed = flags.firstOf(times);
  if (typed !== undefined) flags.exclusive('no-healthcheck', typed);
  if (flags.has('no-healthcheck')) return HealthCheck.create({ cmd: ['NONE'] });
  if (!flags.has('health-cmd', 'health-http', 'health-tcp', ...times)) return current;
  const base = current ?? HealthCheck.create();
  return HealthCheck.with(base, {
    ...checkKind(flags),
    intervalMs: flags.or('health-interval', base.intervalMs, parseShortDurationMs),
    timeoutMs: flags.or('health-timeout', base.timeoutMs, parseShortDurationMs),
    retries: flags.or('health-retries', base.retries, (f, t) => parseWhole(f, t)),
    startPeriodMs: flags.or('health-start-period', base.startPeriodMs, parseShortDurationMs),
    startIntervalMs: flags.or('health-start-interval', base.startIntervalMs, parseShortDurationMs),
  });
}

function checkKind(flags: Flags): Partial<Pick<HealthCheck, 'cmd' | 'http' | 'tcp'>> {
  if (!flags.has('health-cmd', 'health-http', 'health-tcp')) return {};
  const command = flags.text('health-cmd') ?? '';
  return {
    cmd: command === '' ? [] : ['CMD-SHELL', command],
    http: flags.text('health-http') ?? '',
    tcp: flags.text('health-tcp') ?? '',
  };
}

/** `--ready-*`: a task is in load balancing only while this holds. An empty value takes it away. */
export function changeReady(current: Probe | null, flags: Flags): Probe | null {
  flags.exclusive('ready-http', 'ready-tcp');
  if (!flags.has('ready-http', 'ready-tcp', 'ready-interval', 'ready-timeout')) return current;
  const kind = flags.has('ready-http', 'ready-tcp')
    ? { http: flags.text('ready-http') ?? '', tcp: flags.text('ready-tcp') ?? '' }
    : {};
  const base = current ?? Probe.create();
  const probe = Probe.with(base, {
    ...kind,
    intervalMs: flags.or('ready-interval', base.intervalMs, parseShortDurationMs),
    timeoutMs: flags.or('ready-timeout', base.timeoutMs, parseShortDurationMs),
  });
  return probe.http === '' && probe.tcp === '' ? null : probe;
}
