import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Clock, delay } from '../shared/clock.ts';
import { messageOf, SwarmError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import { probeSocket } from './connect.ts';
import { processStartTime } from './process-identity.ts';

/** How long a daemon may take to listen on its socket. */
const START_MS = 10_000;

export interface DaemonPlace {
  /** The daemon's main, a JavaScript file. */
  readonly daemon: string;
  readonly stateDir: string;
  readonly socket: string;
  readonly allowProcess: boolean;
  /** Values of --bind-roots and --generic-resource; absent: none. */
  readonly offer?: { readonly bindRoots: readonly string[]; readonly generic: readonly string[] };
}

export interface StartedDaemon {
  readonly pid: number;
  readonly startTime: string;
  readonly logFile: string;
}

/**
 * Starts a daemon of its own session that outlives this program, and resolves when it listens. Its
 * arguments are paths and switches alone; tokens go over the socket. When it ends instead, the
 * error carries the end of its log.
 */
export async function startDaemon(place: DaemonPlace, clock: Clock): Promise<StartedDaemon> {
  checkPlace(place);
  const logFile = join(place.stateDir, 'swarmd.log');
  const logSize = existsSync(logFile) ? statSync(logFile).size : 0;
  const log = openSync(logFile, 'a', 0o600);
  const child = spawn(process.execPath, daemonArguments(place, logFile), {
    cwd: '/',
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  let ended: string | undefined;
  child.once('error', (error) => {
    ended = messageOf(error);
  });
  child.once('exit', (code, signal) => {
    ended = signal === null ? `exit code ${code}` : `signal ${signal}`;
  });
  await waitForSocket(place.socket, clock, () => {
    if (ended !== undefined) throw didNotStart(ended, logFile, logSize);
  });
  child.removeAllListeners();
  child.unref();
  const pid = child.pid!;
  return { pid, startTime: processStartTime(pid) ?? '', logFile };
}

export function daemonArguments(place: DaemonPlace, logFile: string): string[] {
  const args = [place.daemon, '--state-dir', place.stateDir, '--socket', place.socket];
  args.push('--log-file', logFile);
  if (place.allowProcess) args.push('--allow-process');
  for (const text of place.offer?.bindRoots ?? []) args.push('--bind-roots', text);
  for (const text of place.offer?.generic ?? []) args.push('--generic-resource', text);
  return args;
}

/** Resolves when somebody listens on `socket`; `check` may throw to end the wait. */
export async function waitForSocket(
  socket: string,
  clock: Clock,
  check: () => void = () => undefined,
): Promise<void> {
  const endMs = clock.monotonicMs() + START_MS;
  for (let pauseMs = 5; ; pauseMs = Math.min(pauseMs * 1.5, 50)) {
    check();
    if ((await probeSocket(socket)) === 'answers') return;
    if (clock.monotonicMs() > endMs) {
      throw new SwarmError('NO_DAEMON', `The daemon did not listen on ${socket} within 10 s.`, {
        advice: 'Its log, swarmd.log in the state directory, says what it waits for.',
      });
    }
    await delay(clock, pauseMs);
  }
}

function checkPlace(place: DaemonPlace): void {
  if (Buffer.byteLength(place.socket) > LIMITS.socketPathBytesMax) {
    throw new SwarmError(
      'STATE_DIR',
      `The socket path ${place.socket} has more than ${LIMITS.socketPathBytesMax} bytes, ` +
        'which the kernel does not take.',
      { advice: 'Choose a shorter one with --socket PATH.' },
    );
  }
  if (!existsSync(place.daemon)) {
    throw new SwarmError('NO_DAEMON', `The daemon's program ${place.daemon} is not there.`, {
      advice: 'In a clone, build it first; else install the package again.',
      command: 'npm run build',
    });
  }
  try {
    mkdirSync(place.stateDir, { recursive: true, mode: 0o700 });
    mkdirSync(dirname(place.socket), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new SwarmError('STATE_DIR', `${place.stateDir} cannot be made: ${messageOf(cause)}.`, {
      cause,
    });
  }
}

function didNotStart(ended: string, logFile: string, logSize: number): SwarmError {
  const lines = readFileSync(logFile).subarray(logSize).toString('utf8').trim().split('\n');
  const last = lines
    .slice(-5)
    .map(logText)
    .filter((line) => line !== '');
  return new SwarmError(
    'NO_DAEMON',
    [`The daemon ended before it listened (${ended}):`, ...last].join('\n  '),
    { advice: `Its log is ${logFile}.` },
  );
}

/** What a line of the daemon's JSON log says; other lines (a crash of Node itself) as they are. */
function logText(line: string): string {
  try {
    const entry = JSON.parse(line) as { msg?: unknown; err?: { message?: unknown } };
    return [entry.msg, entry.err?.message].filter((text) => typeof text === 'string').join(': ');
  } catch {
    return line;
  }
}
