import { chmodSync, mkdirSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf, SwarmError } from '../shared/errors.ts';
import { LIMITS } from '../shared/limits.ts';
import { type Offer, offerOf } from './offer.ts';
import { SYSTEM_DIR } from './socket-access.ts';

export interface DaemonOptions {
  readonly stateDir: string;
  readonly socket: string;
  readonly logFile: string | undefined;
  readonly logLevel: string;
  /** A root daemon runs host commands only when its operator says so. */
  readonly allowProcess: boolean;
  /** Beyond what the node was told at `init` or `join`. */
  readonly offer: Offer;
}

export const USAGE = `Usage: swarmd [--state-dir DIR] [--socket PATH] [--log-file FILE] [--log-level LEVEL]
              [--allow-process] [--bind-roots DIR[,DIR...]]... [--generic-resource OFFER]...

The daemon of one node. \`swarm init\`, \`swarm join\` and \`swarm start\` start it; systemd does where it is installed.

  --state-dir DIR    where this node keeps everything (root: /var/lib/swarm; else ~/.local/share/swarm)
  --socket PATH      the local socket (root: /run/swarm/swarm.sock; else DIR/swarm.sock)
  --log-file FILE    append the log here (default: standard error)
  --log-level LEVEL  debug, info, warn or error (default: info)
  --allow-process    let a root daemon run process tasks: commands of this host, as the user they name
  --bind-roots DIRS  directories that services may bind into containers (none by default)
  --generic-resource OFFER
                     what services may reserve here: gpu=2, or gpu=GPU-1@/dev/nvidia0,GPU-2@/dev/nvidia1
`;

/** Tokens are never among the arguments: they come over the local socket. */
export function parseOptions(args: readonly string[], env: NodeJS.ProcessEnv): DaemonOptions {
  const values = parse(args);
  const isRoot = process.getuid?.() === 0;
  const stateDir = resolve(
    values['state-dir'] ?? env['SWARM_STATE_DIR'] ?? defaultStateDir(isRoot),
  );
  const ownDir = values['state-dir'] !== undefined || env['SWARM_STATE_DIR'] !== undefined;
  const defaultSocket =
    isRoot && !ownDir ? join(SYSTEM_DIR, 'swarm.sock') : join(stateDir, 'swarm.sock');
  const socket = resolve(values['socket'] ?? env['SWARM_SOCKET'] ?? defaultSocket);
  if (Buffer.byteLength(socket) > LIMITS.socketPathBytesMax) {
    throw new SwarmError(
      'STATE_DIR',
      `the socket path ${socket} is over ${LIMITS.socketPathBytesMax} bytes`,
      {
        advice: 'Give a shorter one with --socket.',
      },
    );
  }
  const logLevel = values['log-level'] ?? env['SWARM_LOG_LEVEL'] ?? 'info';
  if (!['debug', 'info', 'warn', 'error'].includes(logLevel))
    throw new SwarmError('INVALID_ARGUMENT', `"${logLevel}" is no log level`);
  return {
    stateDir,
    socket,
    logFile: values['log-file'],
    logLevel,
    allowProcess: values['allow-process'] === true,
    offer: offerOf(values['bind-roots'] ?? [], values['generic-resource'] ?? []),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        'state-dir': { type: 'string' },
        socket: { type: 'string' },
        'log-file': { type: 'string' },
        'log-level': { type: 'string' },
        'allow-process': { type: 'boolean' },
        'bind-roots': { type: 'string', multiple: true },
        'generic-resource': { type: 'string', multiple: true },
      },
    }).values;
  } catch (error) {
    throw new SwarmError('INVALID_ARGUMENT', messageOf(error), { advice: 'See swarmd --help.' });
  }
}

function defaultStateDir(isRoot: boolean): string {
  return isRoot ? '/var/lib/swarm' : join(homedir(), '.local', 'share', 'swarm');
}

/** File systems on which locks or sockets do not hold (statfs f_type). */
const REMOTE_FILE_SYSTEMS = new Map([
  [0x6969, 'NFS'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x01021997, '9p'],
]);

/** What is there before the daemon looks: its log, of whoever started it, and its lock. */
const OWN_FIRST_FILES: ReadonlySet<string> = new Set(['swarmd.log', 'lock']);

/** Makes the state directory, or says why it cannot be one. Changes nothing on a refusal. */
export function prepareStateDir(stateDir: string): void {
  try {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new SwarmError('STATE_DIR', `${stateDir} cannot be made: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const stat = statSync(stateDir);
  if (!stat.isDirectory()) throw new SwarmError('STATE_DIR', `${stateDir} is not a directory`);
  const uid = process.getuid?.() ?? 0;
  if (stat.uid !== uid && uid !== 0)
    throw new SwarmError('STATE_DIR', `${stateDir} belongs to another user (uid ${stat.uid})`);
  const kind = REMOTE_FILE_SYSTEMS.get(statfsSync(stateDir).type);
  if (kind !== undefined) {
    throw new SwarmError(
      'STATE_DIR',
      `${stateDir} is on ${kind}, where locks and sockets do not hold`,
      {
        advice: 'Put the state directory on a local disk: --state-dir DIR.',
      },
    );
  }
  if ((stat.mode & 0o077) === 0) return;
  // Nobody else's yet: it becomes what it would be if it had been made here.
  if (readdirSync(stateDir).every((name) => OWN_FIRST_FILES.has(name))) chmodSync(stateDir, 0o700);
  else
    throw new SwarmError(
      'STATE_DIR',
      `${stateDir} is open to others (mode ${(stat.mode & 0o777).toString(8)})`,
      {
        advice: 'Keys are kept there: give a directory of its own, or close this one.',
        command: `chmod 700 ${stateDir}`,
      },
    );
}
