/** The netd that tests start as a process of its own. */
import { SystemClock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import { SystemRandom } from '../../../shared/random.ts';
import { parseNetdArguments } from './arguments.ts';
import { runNetd } from './netd.ts';

const line = (level: string) => (fields: object, message: string) =>
  process.stdout.write(`${level} ${message} ${JSON.stringify(fields)}\n`);
const log: Log = {
  debug: () => undefined,
  info: line('info'),
  warn: line('warn'),
  error: line('error'),
  child: () => log,
};

// The arguments of netd follow this netd's version, so that a test can bump it.
const [versionText, ...rest] = process.argv.slice(2);
await runNetd({
  ...parseNetdArguments(rest),
  versionText: versionText ?? '',
  pid: process.pid,
  clock: new SystemClock(),
  random: new SystemRandom(),
  log,
  channel: process,
});
process.exit(0);
