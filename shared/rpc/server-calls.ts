import { type EventEmitter, once } from 'node:events';
import type {
  Metadata,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
} from '@grpc/grpc-js';
import type { AnyMethod } from '../../proto/index.ts';
import { type Clock, libraryWallMs } from '../clock.ts';
import { messageOf, SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Log } from '../log.ts';
import { parseSubject } from '../tls/subject.ts';
import { StreamDuplex } from './duplex.ts';
import type { CallContext, Duplex, Peer } from './rpc.ts';
import { type Authorizer, authorize, checkSelf, type Rule } from './rules.ts';
import { statusOf } from './status.ts';
import { readMetadata } from './wire.ts';

/** Carries one handler over grpc-js: rules first, then context, then the handler. */

export type Transport = 'local' | 'tls';
export type AnyHandler = (message: unknown, context: CallContext) => unknown;
export type GrpcHandler = (call: never, callback: never) => void;

export interface Guarded {
  readonly transport: Transport;
  readonly method: AnyMethod;
  readonly rule: Rule | undefined;
  readonly handler: AnyHandler;
}

interface CallDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly authorizer: Authorizer;
}

type AnyCall =
  | ServerUnaryCall<unknown, unknown>
  | ServerReadableStream<unknown, unknown>
  | ServerWritableStream<unknown, unknown>
  | ServerDuplexStream<unknown, unknown>;

export function implement(guarded: Guarded, deps: CallDeps): GrpcHandler {
  const { requestStream, responseStream } = guarded.method;
  const serve = requestStream
    ? responseStream
      ? serveDuplex
      : serveClientStream
    : responseStream
      ? serveServerStream
      : serveUnary;
  return (call: never, callback: never) => {
    new Promise<void>((resolve) => resolve(serve(guarded, deps, call, callback))).catch(
      (error: unknown) => {
        deps.log.error({ path: guarded.method.path, error: messageOf(error) }, 'call broke');
      },
    );
  };
}

/** One call while it runs: who it is from, and the end of it. */
class Running {
  readonly context: CallContext;
  readonly rule: Rule;
  readonly #abort = new AbortController();
  readonly #timer: { cancel(): void } | undefined;
  #over = false;

  constructor(guarded: Guarded, deps: CallDeps, call: AnyCall) {
    const claimed = peerOf(guarded.transport, call);
    const peer = authorize(guarded.method.path, guarded.rule, claimed, deps.authorizer);
    this.rule = guarded.rule as Rule;
    const metadata = readMetadata(call.metadata as Metadata);
    const timeoutMs = timeLeft(call);
    this.context = {
      peer,
      peerAddress: guarded.transport === 'local' ? '' : call.getPeer(),
      requestId: metadata.requestId,
      consistency: metadata.consistency,
      timeoutMs: timeoutMs ?? LIMITS.writeDeadlineMs,
      signal: this.#abort.signal,
      // Only a manager may say so: what it says is not passed on again.
      forwarded: metadata.forwarded && peer.kind === 'node',
    };
    (call as EventEmitter).on('cancelled', () => this.end(true));
    if (timeoutMs === undefined && !guarded.method.responseStream && !guarded.method.requestStream)
      this.#timer = deps.clock.setTimer(LIMITS.writeDeadlineMs, () => this.end(true));
  }

  /** Called at every end; only a caller that went away aborts what still works for it. */
  end(cancelled: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer?.cancel();
    if (cancelled) this.#abort.abort(gone());
  }
}

function gone(): SwarmError {
  return new SwarmError('MAYBE_DONE', 'The caller went away.');
}

/** From the connection alone. grpc-js gives a certificate only when TLS authorized it. */
function peerOf(transport: Transport, call: AnyCall): Peer {
  if (transport === 'local') return { kind: 'local' };
  const certificate = call.getAuthContext().sslPeerCertificate;
  const subject = certificate === undefined ? undefined : parseSubject(certificate.subject);
  if (subject === undefined) return { kind: 'anonymous' };
  return { kind: 'node', ...subject, certificateRole: subject.role };
}

function timeLeft(call: AnyCall): number | undefined {
  const deadline = call.getDeadline();
  const at = deadline instanceof Date ? deadline.getTime() : deadline;
  return Number.isFinite(at) ? Math.max(0, at - libraryWallMs()) : undefined;
}

/** What goes to the caller; what is not a SwarmError is a bug: it is logged, and not shown. */
function shown(error: unknown, guarded: Guarded, deps: CallDeps): SwarmError {
  if (SwarmError.is(error)) return error;
  const stack = error instanceof Error ? error.stack : String(error);
  deps.log.error({ path: guarded.method.path, error: stack }, 'a handler failed');
  return new SwarmError('INTERNAL', `${guarded.method.path} failed on the server.`);
}

type Reply = sendUnaryData<unknown>;

async function serveUnary(
  guarded: Guarded,
  deps: CallDeps,
  call: ServerUnaryCall<unknown, unknown>,
  reply: Reply,
): Promise<void> {
  let running: Running | undefined;
  try {
    running = new Running(guarded, deps, call);
    checkSelf(guarded.method.path, running.rule, running.context.peer, call.request);
    const response = await guarded.handler(call.request, running.context);
    running.end(false);
    reply(null, response);
  } catch (error) {
    running?.end(false);
    reply(statusOf(shown(error, guarded, deps)));
  }
}

async function serveClientStream(
  guarded: Guarded,
  deps: CallDeps,
  call: ServerReadableStream<unknown, unknown>,
  reply: Reply,
): Promise<void> {
  let running: Running | undefined;
  call.on('error', () => undefined);
  try {
    running = new Running(guarded, deps, call);
    const response = await guarded.handler(requestsOf(guarded, call, running), running.context);
    running.end(false);
    reply(null, response);
  } catch (error) {
    running?.end(false);
    reply(statusOf(shown(error, guarded, deps)));
  }
}

async function* requestsOf(
  guarded: Guarded,
  call: ServerReadableStream<unknown, unknown>,
  running: Running,
): AsyncIterable<unknown> {
  const { signal } = running.context;
  let first = true;
  // A caller that goes away ends the stream like one that is done: only the signal tells.
  signal.addEventListener('abort', () => call.destroy(gone()), { once: true });
  for await (const message of call) {
    if (first) checkSelf(guarded.method.path, running.rule, running.context.peer, message);
    first = false;
    yield message;
  }
  if (signal.aborted) throw gone();
}

async function serveServerStream(
  guarded: Guarded,
  deps: CallDeps,
  call: ServerWritableStream<unknown, unknown>,
): Promise<void> {
  let running: Running | undefined;
  call.on('error', () => undefined);
  try {
    running = new Running(guarded, deps, call);
    checkSelf(guarded.method.path, running.rule, running.context.peer, call.request);
    const { signal } = running.context;
    const responses = guarded.handler(call.request, running.context) as AsyncIterable<unknown>;
    for await (const response of responses) {
      if (signal.aborted) break;
      if (!call.write(response)) await once(call, 'drain', { signal });
    }
    running.end(false);
    call.end();
  } catch (error) {
    const aborted = running?.context.signal.aborted === true;
    running?.end(false);
    if (!aborted) call.emit('error', statusOf(shown(error, guarded, deps)));
  }
}

function serveDuplex(
  guarded: Guarded,
  deps: CallDeps,
  call: ServerDuplexStream<unknown, unknown>,
): void {
  call.on('error', () => undefined);
  const fail = (error: SwarmError): void => {
    call.emit('error', statusOf(error));
  };
  let running: Running;
  try {
    running = new Running(guarded, deps, call);
  } catch (error) {
    fail(shown(error, guarded, deps));
    return;
  }
  let orderly = false;
  const duplex = new StreamDuplex<unknown, unknown>(call, guarded.method.response, {
    abort: (error) => (error === undefined ? call.end() : fail(error)),
  });
  call.on('end', () => {
    orderly = true;
    duplex.end();
    duplex.closed(undefined);
    running.end(false);
  });
  call.on('finish', () => {
    orderly = true;
  });
  call.on('cancelled', () => duplex.closed(orderly ? undefined : lost(running.context)));
  try {
    guarded.handler(new SelfChecked(duplex, guarded, running), running.context);
  } catch (error) {
    duplex.destroy(shown(error, guarded, deps));
  }
}

function lost(context: CallContext): SwarmError {
  const address = context.peerAddress === '' ? 'the local socket' : context.peerAddress;
  return new SwarmError('UNREACHABLE', `The connection from ${address} was lost.`, {
    details: { reset: 'true', reason: 'reset', address },
  });
}

/** Looks at the first message of a stream before its handler does. */
class SelfChecked implements Duplex<unknown, unknown> {
  readonly #inner: Duplex<unknown, unknown>;
  readonly #guarded: Guarded;
  readonly #running: Running;
  #checked = false;

  constructor(inner: Duplex<unknown, unknown>, guarded: Guarded, running: Running) {
    this.#inner = inner;
    this.#guarded = guarded;
    this.#running = running;
  }
  get unsentBytes(): number {
    return this.#inner.unsentBytes;
  }
  send(message: unknown): void {
    this.#inner.send(message);
  }
  sendEncoded(bytes: Uint8Array): void {
    this.#inner.sendEncoded(bytes);
  }
  onMessage(fn: (message: unknown) => void): void {
    this.#inner.onMessage((message) => {
      try {
        if (!this.#checked) this.#check(message);
      } catch (error) {
        this.#inner.destroy(error as SwarmError);
        return;
      }
      fn(message);
    });
  }
  onClose(fn: (error: SwarmError | undefined) => void): void {
    this.#inner.onClose(fn);
  }
  onDrain(fn: () => void): void {
    this.#inner.onDrain(fn);
  }
  pause(): void {
    this.#inner.pause?.();
  }
  resume(): void {
    this.#inner.resume?.();
  }
  end(): void {
    this.#inner.end();
  }
  destroy(error?: SwarmError): void {
    this.#inner.destroy(error);
  }
  #check(message: unknown): void {
    const { rule, context } = this.#running;
    checkSelf(this.#guarded.method.path, rule, context.peer, message);
    this.#checked = true;
  }
}
