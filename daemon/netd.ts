import { SystemClock } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import { SystemRandom } from '../shared/random.ts';
import { VERSION } from '../shared/version.ts';
import { parseNetdArguments } from '../worker/network/netd/arguments.ts';
import { runNetd } from '../worker/network/netd/netd.ts';
import { lineLog } from './line-log.ts';

/**
 * Main of `netd`: DNS and proxies of a node. Started by swarmd, in a session of its own, with its
 * output on a file; it outlives swarmd. No pino here: netd is to stay small.
 */
const log = lineLog(new SystemClock());
process.on('uncaughtException', (error) => {
  log.error({ error: messageOf(error), stack: error.stack }, 'netd ends: a bug');
  process.exit(1);
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));
// What started us may be gone: that must not end us.
process.on('SIGHUP', () => undefined);

const { stateDir, socketPath } = parseNetdArguments(process.argv.slice(2));
await runNetd({
  stateDir,
  socketPath,
  versionText: VERSION,
  pid: process.pid,
  clock: new SystemClock(),
  random: new SystemRandom(),
  log,
  channel: process as never,
});
process.exit(0);
