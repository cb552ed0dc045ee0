import type { LogRecord, LogRequest, StreamUp } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { AgentStream, AgentStreams, StreamListener } from './agent-streams.ts';

/**
 * Records of one task until its log or `signal` ends it: a follower of a silent task could not be
 * stopped otherwise. Throws NO_ANSWER or DEADLINE, naming the node.
 */
export async function* openLogStream(
  streams: AgentStreams,
  nodeId: string,
  request: LogRequest,
  signal?: AbortSignal,
): AsyncIterable<LogRecord> {
  if (signal?.aborted === true) return;
  const records = new RecordQueue();
  const stream = streams.open(nodeId, { logs: request }, records);
  records.stream = stream;
  const stop = (): void => records.closed(undefined);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    yield* records.all();
  } finally {
    signal?.removeEventListener('abort', stop);
    stream.close();
  }
}

/** What has come and is not read yet. Beyond its limit the agent waits. */
class RecordQueue implements StreamListener {
  stream: AgentStream | undefined;
  #queue: LogRecord[] = [];
  #paused = false;
  #ended = false;
  #error: SwarmError | undefined;
  #wake: () => void = () => undefined;

  receive(message: StreamUp): void {
    for (const record of message.records) this.#queue.push(record);
    if (message.error !== '') this.#error ??= new SwarmError('RUNTIME', message.error);
    if (message.end || message.error !== '') this.#ended = true;
    if (!this.#paused && this.#queue.length > LIMITS.logRecordsQueuedMax) {
      this.#paused = true;
      this.stream?.pause();
    }
    this.#wake();
  }
  closed(error: SwarmError | undefined): void {
    if (!this.#ended) this.#error ??= error;
    this.#ended = true;
    this.#wake();
  }
  async *all(): AsyncIterable<LogRecord> {
    for (;;) {
      const batch = this.#queue;
      this.#queue = [];
      yield* batch;
      if (this.#queue.length > 0) continue;
      if (this.#ended) break;
      if (this.#paused) {
        this.#paused = false;
        this.stream?.resume();
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
  }
}
