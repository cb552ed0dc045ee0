import { SystemClock } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import { SystemRandom } from '../shared/random.ts';
import { VERSION } from '../shared/version.ts';
import { parseNetdArguments } from '../worker/network/netd/arguments.ts';
import { runNetd } from '../worker/network/netd/netd.ts';
import { lineLog } from './line-log.ts';

/**
 * DNS and proxies of a node. Started by swarmd, in a session of its own, with its output on a file; it
 * outlives swarmd. No pino here: netd is to stay small. Resolves when its work is done.
 */
export async function serveNetd(program: string, argv: readonly string[]): Promise<void> {
  const log = lineLog(new SystemClock());
  process.on('uncaughtException', (error) => {
    log.error({ error: messageOf(error), stack: error.stack }, 'netd ends: a bug');
    process.exit(1);
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => process.exit(0));
  // What started us may be gone: that must not end us.
  process.on('SIGHUP', () => undefined);
  await runNetd({
    ...parseNetdArguments(argv),
    versionText: VERSION,
    pid: process.pid,
    clock: new SystemClock(),
    random: new SystemRandom(),
    log,
    channel: process as never,
    helper: { execPath: process.execPath, args: [program] },
  });
}
