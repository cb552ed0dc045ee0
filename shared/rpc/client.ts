import {
  ChannelCredentials,
  type ChannelOptions,
  type CallOptions as GrpcCallOptions,
  Client as GrpcClient,
  type ServiceError,
  type StatusObject,
} from '@grpc/grpc-js';
import type { Method } from '../../proto/index.ts';
import { libraryWallMs } from '../clock.ts';
import { SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { ChannelSecurity } from '../tls/channel-security.ts';
import { StreamDuplex } from './duplex.ts';
import type { CallOptions, Client, Duplex } from './rpc.ts';
import { type CallFailure, errorOf } from './status.ts';
import { CLIENT_OPTIONS, deserializer, metadataOf, serializer } from './wire.ts';

export interface DialOptions {
  /** Needed for host:port; a unix socket has none. */
  readonly tls?: ChannelSecurity;
  /** Streams that must not stall each other have a connection each. */
  readonly ownConnection?: boolean;
  /** For streams that are themselves a sign of life; default `LIMITS.rpcKeepaliveMs`. */
  readonly keepaliveMs?: number;
}

/**
 * A client of `target`: the absolute path of a unix socket (also `unix:/path`) or host:port. It
 * connects at the first call and again whenever needed; `close` ends that, calls under way go on.
 */
export function dial(target: string, options: DialOptions = {}): Client {
  const path = target.startsWith('unix:') ? target.slice('unix:'.length) : target;
  if (path.startsWith('/')) return new RpcClient(path, `unix:${path}`, undefined, options);
  if (options.tls === undefined) {
    throw new SwarmError('INVALID_ARGUMENT', `${target} is neither a socket path nor has it TLS.`);
  }
  if (!/:\d+$/.test(target)) {
    throw new SwarmError('INVALID_ARGUMENT', `${target} is not an address of the form HOST:PORT.`);
  }
  return new RpcClient(target, `dns:${target}`, options.tls, options);
}

type Surface = { cancel(): void };

class RpcClient implements Client {
  readonly address: string;
  readonly #target: string;
  readonly #tls: ChannelSecurity | undefined;
  readonly #own: boolean;
  readonly #keepaliveMs: number;
  readonly #unsubscribe: () => void;
  #grpc: GrpcClient | undefined;
  #closed = false;

  constructor(
    address: string,
    target: string,
    tls: ChannelSecurity | undefined,
    options: DialOptions,
  ) {
    this.address = address;
    this.#target = target;
    this.#tls = tls;
    this.#own = options.ownConnection === true;
    this.#keepaliveMs = options.keepaliveMs ?? LIMITS.rpcKeepaliveMs;
    // A new certificate is used from the next call on; calls under way end on their connection.
    this.#unsubscribe = tls?.onChange(() => this.#drop()) ?? (() => undefined);
  }

  unary<Req, Res>(
    method: Method<Req, Res, false, false>,
    request: Req,
    options: CallOptions = {},
  ): Promise<Res> {
    return new Promise((resolve, reject) => {
      const call = this.#channel().makeUnaryRequest(
        method.path,
        serializer(method.request),
        deserializer(method.response),
        request,
        metadataOf(options),
        deadline(options.timeoutMs ?? LIMITS.rpcDeadlineMs),
        (error, response) => settle(error, response),
      );
      const unlink = this.#cancelWith(call, options.signal, reject);
      const settle = (error: ServiceError | null, response: Res | undefined): void => {
        unlink();
        if (error !== null) reject(this.#error(error, true));
        else resolve(response as Res);
      };
    });
  }

  async *serverStream<Req, Res>(
    method: Method<Req, Res, false, true>,
    request: Req,
    options: CallOptions = {},
  ): AsyncIterable<Res> {
    const call = this.#channel().makeServerStreamRequest(
      method.path,
      serializer(method.request),
      deserializer(method.response),
      request,
      metadataOf(options),
      deadline(options.timeoutMs),
    );
    let stopped: SwarmError | undefined;
    const unlink = this.#cancelWith(call, options.signal, (error) => {
      stopped = error;
    });
    try {
      for await (const message of call) yield message as Res;
    } catch (error) {
      throw stopped ?? this.#error(error as ServiceError, false);
    } finally {
      unlink();
      call.on('error', () => undefined);
      call.cancel();
    }
  }

  clientStream<Req, Res>(
    method: Method<Req, Res, true, false>,
    requests: AsyncIterable<Req>,
    options: CallOptions = {},
  ): Promise<Res> {
    return new Promise((resolve, reject) => {
      const call = this.#channel().makeClientStreamRequest(
        method.path,
        serializer(method.request),
        deserializer(method.response),
        metadataOf(options),
        deadline(options.timeoutMs),
        (error, response) => settle(error, response),
      );
      let over = false;
      const unlink = this.#cancelWith(call, options.signal, reject);
      const settle = (error: ServiceError | null, response: Res | undefined): void => {
        over = true;
        unlink();
        wake();
        if (error !== null) reject(this.#error(error, true));
        else resolve(response as Res);
      };
      let wake: () => void = () => undefined;
      const pump = async (): Promise<void> => {
        for await (const request of requests) {
          if (over) return;
          const sent = new Promise<void>((done) => {
            wake = done;
          });
          call.write(request, () => wake());
          await sent;
        }
        call.end();
      };
      pump().catch((error: unknown) => {
        call.cancel();
        reject(error);
      });
    });
  }

  duplex<Req, Res>(
    method: Method<Req, Res, true, true>,
    options: CallOptions = {},
  ): Duplex<Res, Req> {
    const call = this.#channel().makeBidiStreamRequest(
      method.path,
      serializer(method.request),
      deserializer(method.response),
      metadataOf(options),
      deadline(options.timeoutMs),
    );
    const duplex = new StreamDuplex<Res, Req>(call, method.request, { abort: () => call.cancel() });
    const unlink = this.#cancelWith(call, options.signal, (error) => duplex.closed(error));
    call.on('error', () => undefined);
    call.on('status', (status: StatusObject) => {
      unlink();
      duplex.closed(status.code === 0 ? undefined : this.#error(status, false));
    });
    return duplex;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#unsubscribe();
    this.#drop();
  }

  #drop(): void {
    this.#grpc?.close();
    this.#grpc = undefined;
  }

  #channel(): GrpcClient {
    if (this.#closed) {
      throw new SwarmError('UNREACHABLE', `The connection to ${this.address} was closed here.`, {
        details: { reason: 'closed', address: this.address },
      });
    }
    this.#grpc ??= new GrpcClient(
      this.#target,
      this.#tls?.credentials() ?? ChannelCredentials.createInsecure(),
      {
        ...CLIENT_OPTIONS,
        'grpc.use_local_subchannel_pool': this.#own ? 1 : 0,
        ...this.#connection(),
      },
    );
    return this.#grpc;
  }

  #connection(): ChannelOptions {
    if (this.#tls === undefined) {
      // Nothing is lost on the way: a daemon of this machine that does not answer is most likely busy.
      const silence = LIMITS.rpcLocalSilenceMs;
      return { 'grpc.keepalive_time_ms': silence, 'grpc.keepalive_timeout_ms': silence };
    }
    return {
      'grpc.keepalive_time_ms': this.#keepaliveMs,
      'grpc.keepalive_timeout_ms': LIMITS.rpcKeepaliveMs,
      // The name that TLS sends: an address is none, and nothing is checked against it.
      'grpc.ssl_target_name_override': 'swarm-manager',
    };
  }

  #error(status: Pick<StatusObject, 'code' | 'details' | 'metadata'>, sent: boolean): SwarmError {
    const failure: CallFailure = { address: this.address, sent, tlsFailure: this.#tls?.failure() };
    return errorOf(status, failure);
  }

  /** Ties a call to the caller's signal. */
  #cancelWith(
    call: Surface,
    signal: AbortSignal | undefined,
    stopped: (error: SwarmError) => void,
  ): () => void {
    if (signal === undefined) return () => undefined;
    const abort = (): void => {
      stopped(this.#aborted(signal.reason));
      call.cancel();
    };
    if (signal.aborted) {
      queueMicrotask(abort);
      return () => undefined;
    }
    signal.addEventListener('abort', abort, { once: true });
    return () => signal.removeEventListener('abort', abort);
  }

  #aborted(reason: unknown): SwarmError {
    if (SwarmError.is(reason)) return reason;
    return new SwarmError('MAYBE_DONE', `The call to ${this.address} was given up.`, {
      details: { reason: 'aborted', address: this.address },
    });
  }
}

/** grpc-js takes a deadline in wall time, which it turns into a duration for the other end. */
function deadline(timeoutMs: number | undefined): GrpcCallOptions {
  if (timeoutMs === undefined) return {};
  return { deadline: new Date(libraryWallMs() + Math.max(1, timeoutMs)) };
}
