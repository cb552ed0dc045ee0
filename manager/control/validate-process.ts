import type { ProcessSpec, Ulimit } from '../../proto/index.ts';
import { LIMITS } from '../../shared/limits.ts';
import { check, checkLabels, checkPlaceholders, checkText } from './field.ts';
import { signalName } from './signals.ts';

const USER = /^[^\s:\0]+(:[^\s:\0]+)?$/;
const ULIMITS =
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack';

export function validateProcess(spec: ProcessSpec): void {
  const { command } = spec;
  check(
    command.length > 0 && command[0]!.trim() !== '',
    'command',
    'the command is empty',
    'the program to run and its arguments',
  );
  validateWords(command, 'command');
  validateSurroundings(spec);
  check(
    spec.workdir === '' || spec.workdir.startsWith('/'),
    'workdir',
    `"${spec.workdir}" is not absolute`,
    'a path that begins with /',
  );
}

/** What a command and a container have in common. */
export function validateSurroundings(spec: {
  readonly env: readonly string[];
  readonly workdir: string;
  readonly user: string;
  readonly stopSignal: string;
  readonly labels: { readonly [key: string]: string };
  readonly ulimits: readonly Ulimit[];
}): void {
  validateEnv(spec.env);
  checkText(spec.workdir, 'workdir');
  check(
    spec.user === '' || USER.test(spec.user),
    'user',
    `"${spec.user}" names no user`,
    'NAME or UID, and :GROUP or :GID behind it',
  );
  check(
    spec.stopSignal === '' || signalName(spec.stopSignal) !== undefined,
    'stop_signal',
    `"${spec.stopSignal}" is no signal`,
    'a name such as SIGTERM or INT, or a number from 1 to 64',
  );
  checkLabels(spec.labels, 'container_labels', LIMITS.labelBytesMax);
  for (const limit of spec.ulimits) validateUlimit(limit);
}

/** Words of a command line: no NUL, and no more bytes than a host takes. */
export function validateWords(words: readonly string[], field: string): void {
  let bytes = 0;
  for (const word of words) {
    checkText(word, field);
    bytes += Buffer.byteLength(word) + 1;
  }
  check(
    bytes <= LIMITS.commandBytesMax,
    field,
    `${bytes} bytes`,
    `at most ${LIMITS.commandBytesMax} bytes`,
  );
}

function validateEnv(env: readonly string[]): void {
  check(
    env.length <= LIMITS.envEntriesMax,
    'env',
    `${env.length} entries`,
    `at most ${LIMITS.envEntriesMax}`,
  );
  for (const entry of env) {
    const at = entry.indexOf('=');
    check(at > 0, 'env', `"${nameOf(entry)}" is not of the form KEY=VALUE`, 'KEY=VALUE');
    check(
      /^[^\s\p{Cc}]+$/u.test(entry.slice(0, at)),
      'env',
      `the name "${entry.slice(0, at)}" holds a space or a control character`,
      'names without spaces',
    );
    checkText(entry, `env.${entry.slice(0, at)}`);
    checkPlaceholders(entry, 'env');
  }
  validateWords(env, 'env');
}

/** The part of an entry that may be shown: values can be secrets. */
function nameOf(entry: string): string {
  return entry.startsWith('=') ? '=...' : entry.slice(0, 64);
}

function validateUlimit(limit: Ulimit): void {
  check(ULIMITS.split(' ').includes(limit.name), 'ulimits', `"${limit.name}" is no limit`, ULIMITS);
  const unlimited = limit.hard === -1;
  const ordered = unlimited || (limit.soft !== -1 && limit.soft <= limit.hard);
  check(
    limit.soft >= -1 && limit.hard >= -1 && ordered,
    'ulimits',
    `${limit.name}=${limit.soft}:${limit.hard}`,
    'SOFT[:HARD] with SOFT not above HARD, -1 for no limit',
  );
}
