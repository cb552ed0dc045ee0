import type { Method } from '../proto/index.ts';
import type { IdSource } from '../shared/ids.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Client, Consistency, Duplex } from '../shared/rpc/rpc.ts';

/** Calls to one daemon with the deadlines of the command line. Errors are SwarmErrors. */
export class Session {
  readonly socket: string;
  readonly #client: Client;
  readonly #ids: IdSource;
  readonly #consistency: Consistency;

  /** `consistency`: of reads; `stale` ones are answered at once from what the manager has. */
  constructor(
    socket: string,
    client: Client,
    ids: IdSource,
    consistency: Consistency = 'linearizable',
  ) {
    this.socket = socket;
    this.#client = client;
    this.#ids = ids;
    this.#consistency = consistency;
  }
  read<Req, Res>(method: Method<Req, Res, false, false>, request: Req): Promise<Res> {
    const timeoutMs = LIMITS.rpcDeadlineMs;
    return this.#client.unary(method, request, { timeoutMs, consistency: this.#consistency });
  }
  /** A change: the request id makes it happen once, however often it is retried on the way. */
  write<Req, Res>(
    method: Method<Req, Res, false, false>,
    request: Req,
    timeoutMs: number = LIMITS.writeDeadlineMs,
  ): Promise<Res> {
    return this.#client.unary(method, request, { timeoutMs, requestId: this.#ids.next() });
  }
  /** Ends when the server ends it or `signal` aborts. */
  stream<Req, Res>(
    method: Method<Req, Res, false, true>,
    request: Req,
    signal: AbortSignal,
  ): AsyncIterable<Res> {
    return this.#client.serverStream(method, request, { signal, consistency: this.#consistency });
  }
  /** A change that brings more than fits in one message; it takes as long as it takes. */
  upload<Req, Res>(
    method: Method<Req, Res, true, false>,
    requests: AsyncIterable<Req>,
    signal: AbortSignal,
  ): Promise<Res> {
    return this.#client.clientStream(method, requests, { signal, requestId: this.#ids.next() });
  }
  /** Both speak, for as long as they like. */
  talk<Req, Res>(method: Method<Req, Res, true, true>): Duplex<Res, Req> {
    return this.#client.duplex(method);
  }
  close(): void {
    this.#client.close();
  }
}
