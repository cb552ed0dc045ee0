import {
  DispatcherService,
  type LogRecord,
  LogRequest,
  type StreamDown,
  type StreamRequest,
  StreamUp,
} from '../../proto/index.ts';
import { messageOf } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Client } from '../../shared/rpc/rpc.ts';

const BATCH_BYTES_MAX = 64 << 10;

export interface LogStreamsDeps {
  readonly log: Log;
  readonly read: (
    taskId: string,
    request: LogRequest,
    signal: AbortSignal,
  ) => AsyncIterable<LogRecord>;
}

/**
 * Streams that a manager asked for. Nothing dials an agent, so it opens them itself, on a
 * connection of their own: a flood of logs must not hold up the session.
 */
export class LogStreams {
  readonly #deps: LogStreamsDeps;
  readonly #open = new Map<string, AbortController>();
  readonly #clients = new Map<string, { readonly client: Client; users: number }>();

  constructor(deps: LogStreamsDeps) {
    this.#deps = deps;
  }
  /** `dial` connects to the leader that asked. Asked twice for the same id: served once. */
  serve(request: StreamRequest, address: string, dial: (address: string) => Client): void {
    if (this.#open.has(request.id)) return;
    const abort = new AbortController();
    this.#open.set(request.id, abort);
    const client = this.#client(address, dial);
    void this.#serve(request, client, abort).finally(() => {
      this.#open.delete(request.id);
      this.#release(address);
    });
  }
  stop(): void {
    for (const abort of this.#open.values()) abort.abort();
  }
  async #serve(request: StreamRequest, client: Client, abort: AbortController): Promise<void> {
    const stream = client.duplex(DispatcherService.stream);
    stream.onMessage((message: StreamDown) => {
      if (message.cancel) abort.abort();
    });
    const closed = new Promise<void>((resolve) => stream.onClose(() => resolve()));
    void closed.then(() => abort.abort());
    let drained: () => void = () => undefined;
    stream.onDrain(() => drained());
    const { id } = request;
    // The first message names the stream, also when there is nothing to tell for a long time.
    stream.send(StreamUp.create({ id }));
    try {
      const logs = request.logs ?? LogRequest.create();
      for await (const records of inBatches(this.#deps.read(logs.taskId, logs, abort.signal))) {
        if (abort.signal.aborted) break;
        stream.send(StreamUp.create({ id, records }));
        // A slow reader at the other end holds the reading of the file up, nothing else.
        if (stream.unsentBytes > LIMITS.sessionUnsentBytesMax && !abort.signal.aborted) {
          const drain = new Promise<void>((resolve) => {
            drained = resolve;
          });
          await Promise.race([drain, closed]);
        }
      }
      stream.send(StreamUp.create({ id, end: true }));
    } catch (error) {
      this.#deps.log.warn({ stream: id, error: messageOf(error) }, 'log stream failed');
      stream.send(StreamUp.create({ id, end: true, error: messageOf(error) }));
    }
    stream.end();
    // Who closes the connection before that takes back what has not been sent yet.
    await closed;
  }
  #client(address: string, dial: (address: string) => Client): Client {
    const entry = this.#clients.get(address) ?? { client: dial(address), users: 0 };
    entry.users++;
    this.#clients.set(address, entry);
    return entry.client;
  }
  #release(address: string): void {
    const entry = this.#clients.get(address);
    if (!entry || --entry.users > 0) return;
    this.#clients.delete(address);
    entry.client.close();
  }
}

/** Gathers what is there already; a record that comes alone goes alone. */
async function* inBatches(records: AsyncIterable<LogRecord>): AsyncIterable<LogRecord[]> {
  const source = records[Symbol.asyncIterator]();
  let next = source.next();
  for (;;) {
    const first = await next;
    if (first.done) return;
    const batch = [first.value];
    let bytes = first.value.line.length;
    next = source.next();
    while (batch.length < LIMITS.logBatchRecordsMax && bytes < BATCH_BYTES_MAX) {
      const more = await Promise.race([next, soon()]);
      if (more === undefined || more.done) break;
      batch.push(more.value);
      bytes += more.value.line.length;
      next = source.next();
    }
    yield batch;
  }
}

function soon(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(resolve, undefined));
}
