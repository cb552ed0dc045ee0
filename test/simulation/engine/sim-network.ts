import type { ProbeResult } from '../../../manager/raft/index.ts';
import type { RaftFrame } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Random } from '../../../shared/random.ts';
import type { CallContext, CallOptions, Client } from '../../../shared/rpc/rpc.ts';
import type { Counters } from './counters.ts';
import { type AnyMethod, END, Feed, Stream, unreachable } from './sim-stream.ts';
import type { Owner, Timeline } from './timeline.ts';

/** One process on the network. */
export interface Endpoint extends Owner {
  readonly machine: number;
  readonly address: string;
  readonly nodeId: string;
  /** Its release: a newer one adds fields to messages that an older one does not know. */
  readonly isNewer: boolean;
  /** By the path of the method. */
  handler(path: string): unknown;
}

/** How lossy the network of this seed is; probabilities in thousandths. */
export interface NetworkMood {
  drop: number;
  duplicate: number;
  reorder: number;
  delayMs: number;
  /** Frames over a cut link wait for its end instead of being lost. */
  holds: boolean;
}

type UnaryHandler = (request: unknown, context: CallContext) => Promise<unknown>;
type UploadHandler = (items: AsyncIterable<unknown>, context: CallContext) => Promise<unknown>;

/**
 * The network between machines. A stream keeps its order and ends with its connection; separate
 * streams overtake each other. Frames of raft may also be lost, doubled and swapped on their way,
 * which TCP would not do: the driver drops frames where queues are full, and raft must bear it.
 */
export class SimNetwork {
  readonly mood: NetworkMood = { drop: 0, duplicate: 0, reorder: 0, delayMs: 2, holds: false };
  readonly timeline: Timeline;
  readonly random: Random;
  readonly counters: Counters;
  /** Sees every raft frame as it is sent by a living process. */
  onFrame: (from: Endpoint, frame: RaftFrame) => void = () => undefined;
  /** Sees every raft frame as it reaches a living process. */
  onArrived: (to: Endpoint, frame: RaftFrame) => void = () => undefined;
  /** Hears how many raft frames of how many bytes lay in a stream before the one that is added. */
  onQueued: (from: Endpoint, bytes: number, frames: number) => void = () => undefined;
  readonly #endpoints = new Map<string, Endpoint>();
  /** `from>to` machines: nothing passes until this moment. */
  readonly #cuts = new Map<string, number>();
  readonly #streams = new Set<Stream>();

  constructor(timeline: Timeline, random: Random, counters: Counters) {
    this.timeline = timeline;
    this.random = random;
    this.counters = counters;
  }

  listen(endpoint: Endpoint): void {
    this.#endpoints.set(endpoint.address, endpoint);
  }
  /** The process is gone: its connections are reset. */
  gone(endpoint: Endpoint): void {
    if (this.#endpoints.get(endpoint.address) === endpoint)
      this.#endpoints.delete(endpoint.address);
    for (const stream of [...this.#streams]) stream.lostEnd(endpoint);
  }
  at(address: string): Endpoint | undefined {
    return this.#endpoints.get(address);
  }

  cut(from: number, to: number, untilMs: number): void {
    this.#cuts.set(`${from}>${to}`, untilMs);
  }
  /** All connections from and to a machine break at once; new ones are made as ever. How many. */
  reset(machine: number): number {
    const mine = [...this.#streams].filter(
      ({ from, to }) => from.machine === machine || to?.machine === machine,
    );
    for (const stream of mine) stream.end(unreachable('connection reset'));
    return mine.length;
  }
  heal(): void {
    this.#cuts.clear();
  }
  /** When the link from machine to machine works (again); 0 when it does. */
  cutUntilMs(from: number, to: number): number {
    const untilMs = this.#cuts.get(`${from}>${to}`) ?? 0;
    return untilMs > this.timeline.nowMs ? untilMs : 0;
  }

  delayMs(): number {
    return 0.2 + (this.random.below(1_000) / 1_000) * this.mood.delayMs;
  }
  chance(thousandths: number): boolean {
    return thousandths > 0 && this.random.below(1_000) < thousandths;
  }

  probe(from: Endpoint, address: string): Promise<ProbeResult> {
    return new Promise((resolve) => {
      const to = machineOf(address);
      if (this.cutUntilMs(from.machine, to) || this.cutUntilMs(to, from.machine)) {
        this.timeline.after(1_000, () => resolve('unknown'), from);
        return;
      }
      const answer = (): void => resolve(this.#endpoints.has(address) ? 'open' : 'refused');
      this.timeline.after(2 * this.delayMs(), answer, from);
    });
  }

  dial(from: Endpoint, address: string): Client {
    const open = new Set<Stream>();
    const stream = (method: AnyMethod): Stream => {
      const made = new Stream(this, from, address, machineOf(address), method);
      open.add(made);
      this.#streams.add(made);
      made.whenOver(() => {
        open.delete(made);
        this.#streams.delete(made);
      });
      return made;
    };
    return {
      address,
      duplex: (method) => {
        const made = stream(method as never);
        made.connect((handler, context) => handler(made.far, context));
        return made.near as never;
      },
      clientStream: (method, requests, options) =>
        this.#upload(stream(method as never), requests as AsyncIterable<unknown>, options) as never,
      unary: (method, request, options) =>
        this.#unary(stream(method as never), request, options) as never,
      serverStream: () => {
        throw new Error('not simulated');
      },
      close: () => {
        for (const made of [...open]) made.end(undefined);
      },
    };
  }

  #upload(
    stream: Stream,
    items: AsyncIterable<unknown>,
    options: CallOptions | undefined,
  ): Promise<unknown> {
    return this.#call(stream, options, (reject) => {
      stream.connect((handler, context) => {
        const serve = handler as unknown as UploadHandler;
        answerWith(stream, serve(new Feed(stream.far), context));
      });
      void pour(stream, items).catch((error: SwarmError) => {
        stream.end(unreachable('the upload failed'));
        reject(error);
      });
    });
  }

  #unary(stream: Stream, request: unknown, options: CallOptions | undefined): Promise<unknown> {
    return this.#call(stream, options, () => {
      stream.connect((handler, context) => {
        const serve = handler as unknown as UnaryHandler;
        stream.far.onMessage((message) => answerWith(stream, serve(message, context)));
      });
      stream.near.send(request);
    });
  }

  /** One answer, or the error that ended the stream; nothing is waited for beyond the deadline. */
  #call(
    stream: Stream,
    options: CallOptions | undefined,
    begin: (reject: (error: SwarmError) => void) => void,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      stream.near.onClose((error) => reject(error ?? unreachable('the stream ended')));
      stream.near.onMessage(resolve);
      options?.signal?.addEventListener('abort', () => stream.end(unreachable('aborted')));
      if (options?.timeoutMs !== undefined) {
        const late = (): void => stream.end(new SwarmError('DEADLINE', 'no answer in time'));
        const timer = this.timeline.after(options.timeoutMs, late, stream.from);
        stream.whenOver(() => timer.cancel());
      }
      begin(reject);
    });
  }
}

function answerWith(stream: Stream, answer: Promise<unknown>): void {
  answer.then(
    (value) => stream.far.send(value),
    (error) => stream.end(error as SwarmError),
  );
}

async function pour(stream: Stream, items: AsyncIterable<unknown>): Promise<void> {
  for await (const item of items) {
    if (stream.isOver) return;
    await new Promise<void>((sent) => stream.near.sendThen(item, sent));
  }
  stream.near.sendThen(END, () => undefined);
}

export function addressOf(machine: number): string {
  return `machine-${machine}:1`;
}
export function machineOf(address: string): number {
  return Number(/-(\d+):/.exec(address)?.[1]);
}
