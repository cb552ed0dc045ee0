import {
  type LogRecord,
  type LogRequest,
  StreamDown,
  type StreamRequest,
  type StreamUp,
} from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import type { CallContext, Duplex } from '../../shared/rpc/rpc.ts';

export interface LogStreamDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Asks the node's agent to open a stream; false when it has no session. */
  ask(nodeId: string, request: StreamRequest): boolean;
  /** For errors. */
  nodeName(nodeId: string): string;
}

/** Logs of tasks anywhere: the agent is asked on its session and opens the stream itself. */
export class LogStreams {
  readonly #deps: LogStreamDeps;
  readonly #open = new Map<string, LogStream>();

  constructor(deps: LogStreamDeps) {
    this.#deps = deps;
  }

  /**
   * Records of one task until its log or `signal` ends it: a follower of a silent task could not be
   * stopped otherwise. Throws UNREACHABLE or DEADLINE, naming the node.
   */
  async *open(nodeId: string, request: LogRequest, signal?: AbortSignal): AsyncIterable<LogRecord> {
    const name = this.#deps.nodeName(nodeId);
    const id = Buffer.from(this.#deps.random.bytes(16)).toString('hex');
    const stream = new LogStream(nodeId, this.#deps.clock, name);
    this.#open.set(id, stream);
    const stop = (): void => stream.fail(undefined);
    signal?.addEventListener('abort', stop, { once: true });
    try {
      if (signal?.aborted) return;
      if (!this.#deps.ask(nodeId, { id, logs: request })) {
        throw new SwarmError('UNREACHABLE', `Node ${name} has no connection to the leader.`);
      }
      yield* stream.records();
    } finally {
      signal?.removeEventListener('abort', stop);
      this.#open.delete(id);
      stream.close();
    }
  }

  /** `Dispatcher.Stream`: the first message says which request this answers. */
  serve(duplex: Duplex<StreamUp, StreamDown>, context: CallContext): void {
    let stream: LogStream | undefined;
    duplex.onMessage((message) => {
      if (stream === undefined) {
        const asked = this.#open.get(message.id);
        const { peer } = context;
        if (asked === undefined || peer.kind !== 'node' || peer.nodeId !== asked.nodeId) {
          duplex.destroy(new SwarmError('NOT_FOUND', 'Nobody asked for this stream.'));
          return;
        }
        asked.attach(duplex);
        stream = asked;
      }
      stream.receive(message);
    });
    duplex.onClose((error) => stream?.fail(error));
  }

  /** This manager does not lead any more. */
  stop(error: SwarmError): void {
    for (const stream of this.#open.values()) stream.fail(error);
  }
}

class LogStream {
  readonly nodeId: string;
  readonly #timer: Timer;
  #queue: LogRecord[] = [];
  #duplex: Duplex<StreamUp, StreamDown> | undefined;
  #paused = false;
  #ended = false;
  #error: SwarmError | undefined;
  #wake: () => void = () => undefined;

  constructor(nodeId: string, clock: Clock, nodeName: string) {
    this.nodeId = nodeId;
    this.#timer = clock.setTimer(LIMITS.streamOpenMs, () => {
      this.fail(new SwarmError('DEADLINE', `Node ${nodeName} did not answer in time.`));
    });
  }

  attach(duplex: Duplex<StreamUp, StreamDown>): void {
    this.#timer.cancel();
    this.#duplex = duplex;
  }

  receive(message: StreamUp): void {
    for (const record of message.records) this.#queue.push(record);
    if (message.error !== '') this.#error ??= new SwarmError('RUNTIME', message.error);
    if (message.end || message.error !== '') this.#ended = true;
    if (!this.#paused && this.#queue.length > LIMITS.logRecordsQueuedMax) {
      this.#paused = true;
      this.#duplex?.pause?.();
    }
    this.#wake();
  }

  fail(error: SwarmError | undefined): void {
    if (!this.#ended) this.#error ??= error;
    this.#ended = true;
    this.#wake();
  }

  async *records(): AsyncIterable<LogRecord> {
    for (;;) {
      const batch = this.#queue;
      this.#queue = [];
      yield* batch;
      if (this.#queue.length > 0) continue;
      if (this.#ended) break;
      if (this.#paused) {
        this.#paused = false;
        this.#duplex?.resume?.();
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
  }

  close(): void {
    this.#timer.cancel();
    this.#duplex?.send(StreamDown.create({ cancel: true }));
    this.#duplex?.end();
    this.#ended = true;
    this.#wake();
  }
}
