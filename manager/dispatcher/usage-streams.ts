import type { NodeUsage, StreamUp, UsageRequest } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { AgentStreams, StreamListener } from './agent-streams.ts';

/**
 * What a node's tasks use, look by look, until `signal` or the node ends it. A reader that is slower
 * misses looks. Throws NO_ANSWER or DEADLINE, naming the node.
 */
export async function* openUsageStream(
  streams: AgentStreams,
  nodeId: string,
  request: UsageRequest,
  signal: AbortSignal,
): AsyncIterable<NodeUsage> {
  if (signal.aborted) return;
  const newest = new Newest();
  const stream = streams.open(nodeId, { usage: request }, newest);
  const stop = (): void => newest.closed(undefined);
  signal.addEventListener('abort', stop, { once: true });
  try {
    yield* newest.all();
  } finally {
    signal.removeEventListener('abort', stop);
    stream.close();
  }
}

class Newest implements StreamListener {
  #usage: NodeUsage | undefined;
  #ended = false;
  #error: SwarmError | undefined;
  #wake: () => void = () => undefined;

  receive(message: StreamUp): void {
    this.#usage = message.usage ?? this.#usage;
    if (message.error !== '') this.#error ??= new SwarmError('RUNTIME', message.error);
    if (message.end || message.error !== '') this.#ended = true;
    this.#wake();
  }
  closed(error: SwarmError | undefined): void {
    if (!this.#ended) this.#error ??= error;
    this.#ended = true;
    this.#wake();
  }
  async *all(): AsyncIterable<NodeUsage> {
    for (;;) {
      const usage = this.#usage;
      this.#usage = undefined;
      if (usage !== undefined) yield usage;
      if (this.#usage !== undefined) continue;
      if (this.#ended) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
  }
}
