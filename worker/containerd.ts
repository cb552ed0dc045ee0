import {
  ChannelCredentials,
  type ClientDuplexStream,
  Client as GrpcClient,
  Metadata,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type {
  Codec,
  ContentWriteRequest,
  ContentWriteResponse,
  Init,
  Method,
} from '../proto/containerd.ts';
import { ContentService } from '../proto/containerd.ts';
import { libraryWallMs } from '../shared/clock.ts';
import { LIMITS } from '../shared/limits.ts';

export interface ContainerdCallOptions {
  /** Default `LIMITS.containerdCallMs`; Infinity: as long as it takes. */
  readonly timeoutMs?: number;
  /** What the call makes is kept until this lease is deleted. */
  readonly lease?: string;
  readonly signal?: AbortSignal;
}

/** One blob that is being written. Requests are answered one after the other. */
export interface ContentWriter {
  send(request: Init<ContentWriteRequest>): Promise<ContentWriteResponse>;
  close(): void;
}

/** What swarm needs of containerd, in one namespace. Errors are ContainerdError. */
export interface Containerd {
  call<Req, Res>(
    method: Method<Req, Res, false, false>,
    request: Init<Req>,
    options?: ContainerdCallOptions,
  ): Promise<Res>;
  list<Req, Res>(
    method: Method<Req, Res, false, true>,
    request: Init<Req>,
    options?: ContainerdCallOptions,
  ): AsyncIterable<Res>;
  write(options?: ContainerdCallOptions): ContentWriter;
  /** A later call connects again. */
  close(): void;
}

export type ContainerdCode =
  | 'NOT_FOUND'
  | 'ALREADY_EXISTS'
  | 'STATE'
  | 'UNAVAILABLE'
  | 'CANCELLED'
  | 'INVALID'
  | 'OTHER';

const CODES: { readonly [code: number]: ContainerdCode } = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'INVALID',
  [status.DEADLINE_EXCEEDED]: 'UNAVAILABLE',
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.ALREADY_EXISTS]: 'ALREADY_EXISTS',
  [status.FAILED_PRECONDITION]: 'STATE',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
};

/** What containerd answered, or that it did not (UNAVAILABLE). */
export class ContainerdError extends Error {
  override readonly name = 'ContainerdError';
  readonly code: ContainerdCode;
  constructor(code: ContainerdCode, message: string) {
    super(message);
    this.code = code;
  }
  static is(error: unknown, ...codes: readonly ContainerdCode[]): boolean {
    return error instanceof ContainerdError && codes.includes(error.code);
  }
}

/** Undefined instead of an error of one of these codes. */
export async function unless<T>(
  promise: Promise<T>,
  ...codes: readonly ContainerdCode[]
): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (ContainerdError.is(error, ...codes)) return undefined;
    throw error;
  }
}

/** A client of the containerd behind this socket. It connects at the first call, and again as needed. */
export function connectContainerd(socketPath: string, namespace: string): Containerd {
  return new GrpcContainerd(socketPath, namespace);
}

class GrpcContainerd implements Containerd {
  readonly #namespace: string;
  readonly #target: string;
  #client: GrpcClient | undefined;

  constructor(socketPath: string, namespace: string) {
    this.#namespace = namespace;
    this.#target = `unix:${socketPath}`;
  }
  get #grpc(): GrpcClient {
    this.#client ??= new GrpcClient(this.#target, ChannelCredentials.createInsecure(), {
      'grpc.enable_channelz': 0,
      'grpc.use_local_subchannel_pool': 1,
      'grpc.max_receive_message_length': LIMITS.containerdMessageBytesMax,
      'grpc.max_send_message_length': LIMITS.containerdMessageBytesMax,
      'grpc.initial_reconnect_backoff_ms': LIMITS.rpcReconnectMinMs,
      'grpc.max_reconnect_backoff_ms': LIMITS.rpcReconnectMaxMs,
      'grpc.service_config_disable_resolution': 1,
      'grpc.enable_http_proxy': 0,
    });
    return this.#client;
  }
  call<Req, Res>(
    method: Method<Req, Res, false, false>,
    request: Init<Req>,
    options: ContainerdCallOptions = {},
  ): Promise<Res> {
    return new Promise((resolve, reject) => {
      const { signal } = options;
      const abort = (): void => call.cancel();
      const call = this.#grpc.makeUnaryRequest(
        method.path,
        serializer(method.request),
        deserializer(method.response),
        method.request.create(request),
        this.#metadata(options),
        deadlineOf(options),
        (error, response) => {
          signal?.removeEventListener('abort', abort);
          if (error === null) resolve(response as Res);
          else reject(signal?.aborted === true ? signal.reason : errorOf(error));
        },
      );
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted === true) abort();
    });
  }
  async *list<Req, Res>(
    method: Method<Req, Res, false, true>,
    request: Init<Req>,
    options: ContainerdCallOptions = {},
  ): AsyncIterable<Res> {
    const call = this.#grpc.makeServerStreamRequest(
      method.path,
      serializer(method.request),
      deserializer(method.response),
      method.request.create(request),
      this.#metadata(options),
      deadlineOf(options),
    );
    try {
      for await (const message of call) yield message as Res;
    } catch (error) {
      throw errorOf(error as ServiceError);
    } finally {
      call.on('error', () => undefined);
      call.cancel();
    }
  }
  write(options: ContainerdCallOptions = {}): ContentWriter {
    const method = ContentService.write;
    return new GrpcWriter(
      this.#grpc.makeBidiStreamRequest(
        method.path,
        serializer(method.request),
        deserializer(method.response),
        this.#metadata(options),
        deadlineOf({ timeoutMs: Number.POSITIVE_INFINITY, ...options }),
      ),
    );
  }
  close(): void {
    this.#client?.close();
    this.#client = undefined;
  }
  #metadata({ lease }: ContainerdCallOptions): Metadata {
    const metadata = new Metadata();
    metadata.set('containerd-namespace', this.#namespace);
    if (lease !== undefined) metadata.set('containerd-lease', lease);
    return metadata;
  }
}

type WriteCall = ClientDuplexStream<ContentWriteRequest, ContentWriteResponse>;

class GrpcWriter implements ContentWriter {
  readonly #call: WriteCall;
  #waiting: { resolve(r: ContentWriteResponse): void; reject(e: Error): void } | undefined;
  #failed: Error | undefined;

  constructor(call: WriteCall) {
    this.#call = call;
    call.on('data', (response) => this.#take()?.resolve(response));
    call.on('error', (error) => this.#fail(errorOf(error as ServiceError)));
    call.on('end', () => this.#fail(new ContainerdError('UNAVAILABLE', 'the write was cut off')));
  }
  send(request: Init<ContentWriteRequest>): Promise<ContentWriteResponse> {
    return new Promise((resolve, reject) => {
      if (this.#failed) {
        reject(this.#failed);
        return;
      }
      this.#waiting = { resolve, reject };
      this.#call.write(ContentService.write.request.create(request));
    });
  }
  close(): void {
    this.#call.cancel();
  }
  #take() {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    return waiting;
  }
  #fail(error: Error): void {
    this.#failed ??= error;
    this.#take()?.reject(this.#failed);
  }
}

function serializer<T>(codec: Codec<T>): (value: T) => Buffer {
  return (value) => {
    const bytes = codec.encode(value);
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  };
}

function deserializer<T>(codec: Codec<T>): (bytes: Buffer) => T {
  return (bytes) => codec.decode(bytes);
}

function deadlineOf({ timeoutMs }: ContainerdCallOptions): { deadline?: Date } {
  const ms = timeoutMs ?? LIMITS.containerdCallMs;
  return Number.isFinite(ms) ? { deadline: new Date(libraryWallMs() + ms) } : {};
}

function errorOf(error: ServiceError): ContainerdError {
  return new ContainerdError(CODES[error.code] ?? 'OTHER', error.details || error.message);
}
