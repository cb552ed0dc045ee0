import type { Method } from '../proto/index.ts';
import type { IdSource } from '../shared/ids.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Client } from '../shared/rpc/rpc.ts';

/** Calls to one daemon with the deadlines of the command line. Errors are SwarmErrors. */
export class Session {
  readonly socket: string;
  readonly #client: Client;
  readonly #ids: IdSource;

  constructor(socket: string, client: Client, ids: IdSource) {
    this.socket = socket;
    this.#client = client;
    this.#ids = ids;
  }
  read<Req, Res>(method: Method<Req, Res, false, false>, request: Req): Promise<Res> {
    return this.#client.unary(method, request, { timeoutMs: LIMITS.rpcDeadlineMs });
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
    return this.#client.serverStream(method, request, { signal });
  }
  close(): void {
    this.#client.close();
  }
}
