import { status as Code, Metadata, type StatusObject } from '@grpc/grpc-js';
import { ERRORS, type ErrorCode, isErrorCode, SwarmError } from '../errors.ts';

/**
 * SwarmError <-> gRPC status. The code, the advice and the details of an error travel in the
 * trailers, so that the other end rebuilds the same error; a status without them comes from gRPC
 * itself and is translated here, in one place.
 */

const CODE_KEY = 'swarm-code';
const ADVICE_KEY = 'swarm-advice-bin';
const COMMAND_KEY = 'swarm-command-bin';
const DETAILS_KEY = 'swarm-details-bin';
/** Trailers are HTTP/2 headers, which have a limit of 64 KiB together. */
const MESSAGE_CHARS_MAX = 4096;
const DETAILS_BYTES_MAX = 16 << 10;

/** What the server sends for an error of a handler. */
export function statusOf(error: SwarmError): StatusObject {
  const metadata = new Metadata();
  metadata.set(CODE_KEY, error.code);
  if (error.advice !== ERRORS[error.code].advice) setText(metadata, ADVICE_KEY, error.advice);
  if (error.command !== '') setText(metadata, COMMAND_KEY, error.command);
  if (Object.keys(error.details).length > 0) {
    const json = JSON.stringify(error.details);
    if (Buffer.byteLength(json) <= DETAILS_BYTES_MAX) setText(metadata, DETAILS_KEY, json);
  }
  return { code: ERRORS[error.code].grpc, details: headerText(error.message), metadata };
}

/** A lone half of a surrogate pair would make the percent-encoding of the message throw. */
function headerText(text: string): string {
  return text.slice(0, MESSAGE_CHARS_MAX).replace(/\p{Surrogate}/gu, '\ufffd');
}

function setText(metadata: Metadata, key: string, text: string): void {
  metadata.set(key, Buffer.from(text.slice(0, DETAILS_BYTES_MAX), 'utf8'));
}

export interface CallFailure {
  readonly address: string;
  /** Unary and client streams: what was sent may have been done although the answer is lost. */
  readonly sent: boolean;
  /** What verification of the other end's certificate said, if it said anything. */
  readonly tlsFailure?: string | undefined;
}

/** What the caller gets for a status that is not OK. */
export function errorOf(status: StatusLike, failure: CallFailure): SwarmError {
  const code = status.metadata?.get(CODE_KEY)[0];
  if (typeof code === 'string' && isErrorCode(code)) return rebuilt(code, status);
  const details = status.details;
  switch (status.code) {
    case Code.UNAVAILABLE:
      return isReset(details) ? reset(failure, details) : unreachable(failure, details);
    case Code.CANCELLED:
      return reset(failure, details);
    case Code.DEADLINE_EXCEEDED:
      return deadline(failure, details);
    case Code.NOT_FOUND:
      return new SwarmError('NOT_FOUND', `${failure.address}: ${details}.`);
    case Code.UNIMPLEMENTED:
      return new SwarmError('UNSUPPORTED', `${failure.address} does not know this call.`);
    case Code.RESOURCE_EXHAUSTED:
      return new SwarmError('OVERLOADED', `${failure.address} refused the call: ${details}.`);
    default:
      if (isReset(details)) return reset(failure, details);
      return new SwarmError('INTERNAL', `The call to ${failure.address} failed: ${details}.`);
  }
}

type StatusLike = Pick<StatusObject, 'code' | 'details'> & { metadata?: Metadata | undefined };

function rebuilt(code: ErrorCode, status: StatusLike): SwarmError {
  const advice = text(status, ADVICE_KEY);
  const command = text(status, COMMAND_KEY);
  return new SwarmError(code, status.details, {
    ...(advice === undefined ? {} : { advice }),
    ...(command === undefined ? {} : { command }),
    details: parseDetails(text(status, DETAILS_KEY)),
  });
}

function text(status: StatusLike, key: string): string | undefined {
  const value = status.metadata?.get(key)[0];
  return Buffer.isBuffer(value) ? value.toString('utf8') : undefined;
}

function parseDetails(json: string | undefined): { readonly [key: string]: string } {
  if (json === undefined) return {};
  try {
    const value: unknown = JSON.parse(json);
    if (typeof value !== 'object' || value === null) return {};
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, String(item)]));
  } catch {
    return {};
  }
}

/** `read ETIMEDOUT` ends a connection that was there; `connect ETIMEDOUT` means there was none. */
function isReset(details: string): boolean {
  return (
    /connection dropped|ECONNRESET|EPIPE|RST_STREAM|goaway/i.test(details) ||
    /session.*(closed|destroyed)|\b(read|write) E[A-Z]+\b/i.test(details)
  );
}

/** The connection was there and is gone. `details.reset` is what fast failure detection looks at. */
function reset(failure: CallFailure, cause: string): SwarmError {
  const details = { reset: 'true', reason: 'reset', address: failure.address };
  if (failure.sent) {
    const message = `The connection to ${failure.address} was lost before the answer came.`;
    return new SwarmError('MAYBE_DONE', message, { details, cause });
  }
  const message = `The connection to ${failure.address} was lost.`;
  return new SwarmError('UNREACHABLE', message, { details, cause });
}

function deadline(failure: CallFailure, details: string): SwarmError {
  // Our own end says what it waited for, and names the other end once the call was handed to a
  // connection. Without such words it was the other end that ran out of time.
  const isOwn = /^Deadline exceeded after /.test(details);
  const wasSent = /remote_addr=|previous attempts/.test(details);
  if (!isOwn || wasSent) {
    const message = `${failure.address} did not answer in time.`;
    return new SwarmError('DEADLINE', message, { details: { address: failure.address } });
  }
  return new SwarmError('UNREACHABLE', `${failure.address} could not be reached in time.`, {
    details: { reason: 'timeout', address: failure.address },
    ...hangs(failure),
  });
}

/** Of a daemon of this machine there is no port or firewall to check. */
function hangs({ address }: CallFailure): { readonly advice?: string } {
  if (!address.startsWith('/')) return {};
  return {
    advice: 'Its daemon hangs, or the machine is overloaded: look at its log, then ask again.',
  };
}

interface Unreachable {
  readonly reason: string;
  readonly text: string;
  readonly advice?: string;
}

function unreachable(failure: CallFailure, details: string): SwarmError {
  const found = whyUnreachable(failure, details);
  const refused = found.reason === 'refused' || found.reason === 'no-socket';
  return new SwarmError('UNREACHABLE', `${failure.address} cannot be reached: ${found.text}.`, {
    details: {
      reason: found.reason,
      address: failure.address,
      ...(refused ? { reset: 'true' } : {}),
    },
    cause: details,
    ...(found.advice === undefined ? {} : { advice: found.advice }),
  });
}

function whyUnreachable(failure: CallFailure, details: string): Unreachable {
  const { tlsFailure } = failure;
  if (tlsFailure !== undefined && details.includes(tlsFailure)) return tls(tlsFailure);
  if (details.includes('ENOENT')) return { reason: 'no-socket', text: 'there is no such socket' };
  if (details.includes('Stream refused')) return { reason: 'refused', text: 'it is stopping' };
  if (details.includes('ECONNREFUSED')) {
    return { reason: 'refused', text: 'nothing listens there' };
  }
  if (/EACCES|EPERM/.test(details)) {
    const advice = 'Run it as the user that owns the socket, or as a member of its group.';
    return { reason: 'denied', text: 'this user may not open it', advice };
  }
  if (/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/.test(details)) {
    return { reason: 'timeout', text: 'the host does not answer' };
  }
  if (/Name resolution failed|ENOTFOUND|EAI_AGAIN/.test(details)) {
    return { reason: 'unresolved', text: 'its name has no address' };
  }
  if (/certificate|SSL|TLS|alert|handshake|self.signed|credentials/i.test(details)) {
    return tls(lastError(details));
  }
  return { reason: 'other', text: lastError(details) };
}

function tls(cause: string): Unreachable {
  return {
    reason: 'tls',
    text: `TLS failed (${cause})`,
    advice: 'Check that the address belongs to a manager of this cluster and that clocks agree.',
  };
}

function lastError(details: string): string {
  const found = /Last error: (?:Error: )?(.*?)\. Resolution note/.exec(details);
  return (found?.[1] ?? details).replace(/\.$/, '');
}
