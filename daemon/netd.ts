import { SystemClock } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import { SystemRandom } from '../shared/random.ts';
import { VERSION } from '../shared/version.ts';
import { OPEN_SOCKETS, openNameSockets } from '../worker/network/names/open-sockets.ts';
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

const program = process.argv[1] ?? '';
const given = process.argv.slice(2);
if (given[0] === OPEN_SOCKETS) await openNameSockets(process as never);
else
  await runNetd({
    ...parseNetdArguments(given),
    versionText: VERSION,
    pid: process.pid,
    clock: new SystemClock(),
    random: new SystemRandom(),
    log,
    channel: process as never,
    helper: { execPath: process.execPath, args: [program] },
  });
process.exit(0);
