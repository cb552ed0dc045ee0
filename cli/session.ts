import { Empty, LocalService, type Method } from '../proto/index.ts';
import { type ErrorCode, SwarmError } from '../shared/errors.ts';
import type { IdSource } from '../shared/ids.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Client, Consistency, Duplex } from '../shared/rpc/rpc.ts';

const SILENT: ReadonlySet<ErrorCode> = new Set(['UNREACHABLE', 'DEADLINE']);

/** Calls to one daemon with the deadlines of the command line. Errors are SwarmErrors. */
export class Session {
  readonly socket: string;
  readonly #client: Client;
  readonly #ids: IdSource;
  readonly #consistency: Consistency;
  #answered = false;

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
    const options = { timeoutMs, consistency: this.#consistency };
    return this.#heard(this.#client.unary(method, request, options));
  }
  /** A change: the request id makes it happen once, however often it is retried on the way. */
  write<Req, Res>(
    method: Method<Req, Res, false, false>,
    request: Req,
    timeoutMs: number = LIMITS.writeDeadlineMs,
  ): Promise<Res> {
    const options = { timeoutMs, requestId: this.#ids.next() };
    return this.#heard(this.#client.unary(method, request, options));
  }
  /** Ends when the server ends it or `signal` aborts. */
  async *stream<Req, Res>(
    method: Method<Req, Res, false, true>,
    request: Req,
    signal: AbortSignal,
  ): AsyncIterable<Res> {
    await this.#reach();
    yield* this.#client.serverStream(method, request, { signal, consistency: this.#consistency });
  }
  /** A change that brings more than fits in one message; it takes as long as it takes. */
  async upload<Req, Res>(
    method: Method<Req, Res, true, false>,
    requests: AsyncIterable<Req>,
    signal: AbortSignal,
  ): Promise<Res> {
    await this.#reach();
    return this.#client.clientStream(method, requests, { signal, requestId: this.#ids.next() });
  }
  /** Both speak, for as long as they like. */
  talk<Req, Res>(method: Method<Req, Res, true, true>): Duplex<Res, Req> {
    return this.#client.duplex(method);
  }
  /**
   * A stream has no deadline, for it may be silent for long: that the daemon answers at all is found
   * out first, by a call that has one.
   */
  async #reach(): Promise<void> {
    if (this.#answered) return;
    try {
      await this.read(LocalService.info, Empty.create());
    } catch (error) {
      if (SwarmError.is(error) && SILENT.has(error.code)) throw error;
    }
  }
  async #heard<T>(answer: Promise<T>): Promise<T> {
    const value = await answer;
    this.#answered = true;
    return value;
  }
  close(): void {
    this.#client.close();
  }
}
