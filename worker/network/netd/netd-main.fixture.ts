/** The netd that tests start as a process of its own. */
import { SystemClock } from '../../../shared/clock.ts';
import type { Log } from '../../../shared/log.ts';
import { SystemRandom } from '../../../shared/random.ts';
import { OPEN_SOCKETS, openNameSockets } from '../names/open-sockets.ts';
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

// The arguments of netd follow this netd's version, so that a test can bump it, and the test's pid.
const [versionText, testPid, ...rest] = process.argv.slice(2);
const clock = new SystemClock();

/** A crashed test leaves nothing behind. */
function endWithTest(): void {
  try {
    process.kill(Number(testPid), 0);
  } catch {
    process.exit(1);
  }
  clock.setTimer(1_000, endWithTest);
}
endWithTest();
if (rest[0] === OPEN_SOCKETS) {
  await openNameSockets(process as never);
  process.exit(0);
}
await runNetd({
  ...parseNetdArguments(rest),
  versionText: versionText ?? '',
  pid: process.pid,
  clock,
  random: new SystemRandom(),
  log,
  channel: process,
  helper: {
    execPath: process.execPath,
    args: [process.argv[1]!, versionText ?? '', testPid ?? ''],
  },
});
process.exit(0);
