import type { AnyMethod, Method, Role } from '../../proto/index.ts';
import type { SwarmError } from '../errors.ts';

/**
 * The shapes of remote calls, without a trace of gRPC: handlers and callers are written against
 * these, `server.ts` and `client.ts` carry them over grpc-js.
 */

/** Who calls. `local`: the daemon's own socket. `anonymous`: no certificate that TLS authorized. */
export type Peer =
  | { readonly kind: 'local' }
  | { readonly kind: 'anonymous' }
  | {
      readonly kind: 'node';
      readonly nodeId: string;
      /** The lower one of its certificate's role and its row's. */
      readonly role: Role;
      readonly clusterId: string;
      /** What its certificate says; set on the server's side. */
      readonly certificateRole?: Role;
    };

export type Consistency = 'linearizable' | 'stale';

export interface CallContext {
  readonly peer: Peer;
  /** host:port of the other end; empty on the local socket. */
  readonly peerAddress: string;
  /** Empty: none was given. Metadata `swarm-request-id`. */
  readonly requestId: string;
  /** Metadata `swarm-consistency`. */
  readonly consistency: Consistency;
  /** What is left of the caller's deadline when the call came in. */
  readonly timeoutMs: number;
  /** Aborts when the caller goes away or its deadline passes. */
  readonly signal: AbortSignal;
  /** True when another manager passed this call on: it is not passed on again. */
  readonly forwarded: boolean;
}

/** One end of a bidirectional stream. */
export interface Duplex<In, Out> {
  /** Sends, or queues behind what is unsent. Never blocks; a closed stream ignores it. */
  send(message: Out): void;
  /** The same with bytes encoded once for many streams. */
  sendEncoded(bytes: Uint8Array): void;
  readonly unsentBytes: number;
  onMessage(fn: (message: In) => void): void;
  /** Called once, whoever ended it; `undefined` after an orderly end. */
  onClose(fn: (error: SwarmError | undefined) => void): void;
  /** Called when `unsentBytes` is back at zero after it was above. */
  onDrain(fn: () => void): void;
  /** Stops messages from coming, and the sender by that, until `resume`. */
  pause?(): void;
  resume?(): void;
  /** Orderly end of this side. */
  end(): void;
  destroy(error?: SwarmError): void;
}

export type Handler<M> =
  M extends Method<infer Req, infer Res, infer Up, infer Down>
    ? Up extends true
      ? Down extends true
        ? (stream: Duplex<Req, Res>, context: CallContext) => void
        : (requests: AsyncIterable<Req>, context: CallContext) => Promise<Res>
      : Down extends true
        ? (request: Req, context: CallContext) => AsyncIterable<Res>
        : (request: Req, context: CallContext) => Promise<Res>
    : never;

/** What implements a service definition of `proto/`. */
export type Handlers<S> = { readonly [K in keyof S]: Handler<S[K]> };

export type ServiceDefinition = { readonly [name: string]: AnyMethod };

export interface CallOptions {
  readonly timeoutMs?: number;
  readonly requestId?: string;
  readonly consistency?: Consistency;
  readonly signal?: AbortSignal;
  readonly forwarded?: boolean;
  /** More metadata, for servers that are not of this project. */
  readonly headers?: { readonly [name: string]: string };
}

/** A connection to one address (or to a local socket). Errors are always SwarmError. */
export interface Client {
  readonly address: string;
  unary<Req, Res>(
    method: Method<Req, Res, false, false>,
    request: Req,
    options?: CallOptions,
  ): Promise<Res>;
  serverStream<Req, Res>(
    method: Method<Req, Res, false, true>,
    request: Req,
    options?: CallOptions,
  ): AsyncIterable<Res>;
  clientStream<Req, Res>(
    method: Method<Req, Res, true, false>,
    requests: AsyncIterable<Req>,
    options?: CallOptions,
  ): Promise<Res>;
  duplex<Req, Res>(method: Method<Req, Res, true, true>, options?: CallOptions): Duplex<Res, Req>;
  close(): void;
}
