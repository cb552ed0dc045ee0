import { SystemClock } from '../shared/clock.ts';
import { messageOf, SwarmError } from '../shared/errors.ts';
import { SystemIds } from '../shared/ids.ts';
import { SystemRandom } from '../shared/random.ts';
import { VERSION } from '../shared/version.ts';
import { compileSoon, letHeapGrow } from './engine.ts';
import { acquireLock } from './lock.ts';
import { openLog } from './log.ts';
import { NodeDaemon } from './node.ts';
import { type DaemonOptions, parseOptions, prepareStateDir, USAGE } from './options.ts';

/** Main of `swarmd`, the one daemon of a node. */
async function main(args: readonly string[]): Promise<void> {
  if (args.includes('--help')) return void process.stdout.write(USAGE);
  if (args.includes('--version')) return void process.stdout.write(`swarmd ${VERSION}\n`);
  compileSoon();
  // Until there is a manager part.
  letHeapGrow(false);
  // Whatever is made here is for this user alone, unless said otherwise at its place.
  process.umask(0o077);
  const options = parseOptions(args, process.env);
  prepareStateDir(options.stateDir);
  const unlock = acquireLock(options.stateDir);
  process.on('exit', unlock);
  await run(options);
}

async function run(options: DaemonOptions): Promise<void> {
  const log = openLog(options.logFile, options.logLevel);
  const fatal = (error: unknown, message: string): never => {
    log.error({ err: error }, message);
    process.exit(1);
  };
  process.on('uncaughtException', (error) => fatal(error, 'swarmd ends: a bug'));
  process.on('unhandledRejection', (error) => fatal(error, 'swarmd ends: a bug'));
  // The terminal that started us may go away.
  process.on('SIGHUP', () => undefined);
  log.info(
    { version: VERSION, node: process.version, stateDir: options.stateDir, pid: process.pid },
    'swarmd starts',
  );
  const node = new NodeDaemon(options, {
    clock: new SystemClock(),
    random: new SystemRandom(),
    ids: new SystemIds(),
    log,
    exit: (code) => process.exit(code),
  });
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => void node.signalled());
  await node.start();
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const swarmError = SwarmError.is(error) ? error : undefined;
  process.stderr.write(`Error: ${messageOf(error)}\n`);
  if (swarmError) process.stderr.write(`${swarmError.advice}\n`);
  else if (error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exit(1);
}
