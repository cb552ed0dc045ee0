/**
 * One error class with stable codes. A row says how a code travels (gRPC, HTTP), how a script sees
 * it (exit code), whether a retry can help, and what the user should do.
 */
export type ErrorCode = keyof typeof ERRORS;

interface ErrorRow {
  /** gRPC status code number (grpc/grpc doc/statuscodes.md). */
  readonly grpc: number;
  readonly http: number;
  readonly exit: number;
  /** never: the same call fails again. yes: nothing was done, try again. unknown: it may be done. */
  readonly retry: 'never' | 'yes' | 'unknown';
  readonly advice: string;
}

export const ERRORS = {
  INVALID_ARGUMENT: row(3, 400, 2, 'never', 'Check the flags: --help shows them.'),
  INVALID_SPEC: row(3, 400, 2, 'never', 'Change the named field.'),
  NOT_FOUND: row(5, 404, 3, 'never', 'List what is there: swarm service ls, swarm node ls.'),
  AMBIGUOUS: row(3, 400, 3, 'never', 'Give more characters of the id, or the name.'),
  NAME_CONFLICT: row(6, 409, 4, 'never', 'Choose another name, or update the existing object.'),
  VERSION_CONFLICT: row(9, 409, 4, 'never', 'Somebody changed it meanwhile: read it again.'),
  IN_USE: row(9, 409, 4, 'never', 'Remove what uses it first.'),
  PORT_TAKEN: row(9, 409, 4, 'never', 'Choose another port, or free it.'),
  PRECONDITION: row(9, 409, 4, 'never', 'Do what the message names first.'),
  NOT_A_MANAGER: row(9, 503, 5, 'never', 'Run this on a manager: swarm info names them.'),
  NOT_IN_CLUSTER: row(9, 503, 5, 'never', 'swarm init makes a cluster; swarm join joins one.'),
  ALREADY_IN_CLUSTER: row(9, 409, 4, 'never', 'swarm leave leaves it.'),
  NO_DAEMON: row(14, 503, 5, 'never', 'swarm init or swarm start starts one.'),
  NOT_LEADER: row(14, 503, 5, 'yes', 'Another manager leads: try again.'),
  NO_QUORUM: row(14, 503, 5, 'yes', 'Start the missing managers.'),
  DROPPED: row(14, 503, 5, 'yes', 'Nothing was done; try again.'),
  OVERLOADED: row(8, 503, 5, 'yes', 'Too much at once; try again.'),
  MAYBE_DONE: row(14, 503, 5, 'unknown', 'It may have been done: look before you repeat it.'),
  BROKEN_OFF: row(14, 503, 125, 'unknown', 'What had begun ended with it: begin again.'),
  DEADLINE: row(4, 504, 5, 'unknown', 'It may have been done: look before you repeat it.'),
  UNREACHABLE: row(14, 503, 5, 'yes', 'Check address, port and firewall.'),
  NO_ANSWER: row(14, 503, 5, 'never', 'It was asked by the manager: the message names it.'),
  READ_ONLY: row(14, 503, 5, 'yes', 'Free disk space on the managers.'),
  DAMAGED: row(15, 500, 5, 'never', 'The node heals by rejoining; else restore a backup.'),
  EXPIRED: row(11, 410, 3, 'never', 'Read the list again and watch from there.'),
  UNAUTHENTICATED: row(16, 401, 6, 'never', 'Use a valid token or certificate of this cluster.'),
  FORBIDDEN: row(7, 403, 6, 'never', 'This node may not do that.'),
  REMOVED: row(7, 403, 6, 'never', 'This node was removed: swarm leave --force, then join again.'),
  STATE_DIR: row(9, 500, 5, 'never', 'Choose another directory with --state-dir.'),
  RUNTIME: row(13, 500, 5, 'never', 'See the message; swarm why names the task.'),
  UNSUPPORTED: row(12, 501, 2, 'never', 'This release cannot do that.'),
  NOT_CONVERGED: row(13, 500, 1, 'never', 'swarm why SERVICE says what it waits for.'),
  INTERNAL: row(13, 500, 70, 'never', 'This is a bug: please report it with the log.'),
} as const;

function row(
  grpc: number,
  http: number,
  exit: number,
  retry: ErrorRow['retry'],
  advice: string,
): ErrorRow {
  return { grpc, http, exit, retry, advice };
}

const BRAND = Symbol.for('swarm.error');

export interface SwarmErrorOptions {
  readonly cause?: unknown;
  /** What to do in this very case; without it the code's own advice is shown. */
  readonly advice?: string;
  /** A command that does it. */
  readonly command?: string;
  readonly details?: { readonly [key: string]: string };
}

export class SwarmError extends Error {
  override readonly name = 'SwarmError';
  readonly [BRAND] = true;
  readonly code: ErrorCode;
  readonly advice: string;
  readonly command: string;
  readonly details: { readonly [key: string]: string };

  constructor(code: ErrorCode, message: string, options: SwarmErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.advice = options.advice ?? ERRORS[code].advice;
    this.command = options.command ?? '';
    this.details = options.details ?? {};
  }

  /** Also true for an error of another copy of this module. */
  static is(value: unknown): value is SwarmError {
    return typeof value === 'object' && value !== null && BRAND in value;
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERRORS, text);
}

/** The message of anything thrown, for logs and causes. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
