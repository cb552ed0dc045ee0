import type { ProbeResult } from '../../manager/raft/index.ts';
import { type Method, type RaftFrame, Role } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Random } from '../../shared/random.ts';
import type { CallContext, CallOptions, Client, Duplex } from '../../shared/rpc/rpc.ts';
import type { Counters } from './counters.ts';
import type { Owner, Timeline } from './timeline.ts';

/** One process on the network. */
export interface Endpoint extends Owner {
  readonly machine: number;
  readonly address: string;
  readonly nodeId: string;
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

type AnyMethod = Method<unknown, unknown, boolean, boolean>;

/** A connection that hears nothing for this long ends. */
const BREAKS_AFTER_MS = 3_000;

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
      const made = new Stream(this, from, address, method);
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
      unary: (method, request) => this.#unary(stream(method as never), request) as never,
      serverStream: () => {
        throw new Error('not simulated');
      },
      close: () => {
        for (const made of [...open]) made.end(undefined);
      },
    };
  }

  #upload(stream: Stream, items: AsyncIterable<unknown>, options?: CallOptions): Promise<unknown> {
    const { near, far } = stream;
    return new Promise((resolve, reject) => {
      near.onClose((error) => reject(error ?? unreachable('the stream ended')));
      options?.signal?.addEventListener('abort', () => stream.end(unreachable('aborted')));
      near.onMessage(resolve);
      stream.connect((handler, context) => {
        const feed = new Feed(far);
        (handler as unknown as (i: AsyncIterable<unknown>, c: CallContext) => Promise<unknown>)(
          feed,
          context,
        ).then(
          (answer) => far.send(answer),
          (error) => stream.end(error as SwarmError),
        );
      });
      void this.#pour(stream, items).catch((error) => {
        stream.end(unreachable('the upload failed'));
        reject(error);
      });
    });
  }

  async #pour(stream: Stream, items: AsyncIterable<unknown>): Promise<void> {
    for await (const item of items) {
      if (stream.isOver) return;
      await new Promise<void>((sent) => stream.near.sendThen(item, sent));
    }
    stream.near.sendThen(END, () => undefined);
  }

  #unary(stream: Stream, request: unknown): Promise<unknown> {
    const { near, far } = stream;
    return new Promise((resolve, reject) => {
      near.onClose((error) => reject(error ?? unreachable('the stream ended')));
      near.onMessage(resolve);
      stream.connect((handler, context) => {
        far.onMessage((message) => {
          (handler as unknown as (r: unknown, c: CallContext) => Promise<unknown>)(
            message,
            context,
          ).then(
            (answer) => far.send(answer),
            (error) => stream.end(error as SwarmError),
          );
        });
      });
      near.send(request);
    });
  }
}

const END = Symbol('end of an upload');
type StreamHandler = (stream: Duplex<unknown, unknown>, context: CallContext) => void;

/** One call on a connection of its own. */
class Stream {
  readonly network: SimNetwork;
  readonly from: Endpoint;
  readonly method: AnyMethod;
  readonly near: End;
  readonly far: End;
  to: Endpoint | undefined;
  isOver = false;
  readonly isRaft: boolean;
  readonly #toMachine: number;
  readonly #address: string;
  readonly #over: (() => void)[] = [];

  constructor(network: SimNetwork, from: Endpoint, address: string, method: AnyMethod) {
    this.network = network;
    this.from = from;
    this.method = method;
    this.#address = address;
    this.#toMachine = machineOf(address);
    this.isRaft = /\/(Control|Append)$/.test(method.path);
    this.near = new End(this, true);
    this.far = new End(this, false);
  }

  whenOver(fn: () => void): void {
    this.#over.push(fn);
  }
  ownerOf(isNear: boolean): Endpoint | undefined {
    return isNear ? this.from : this.to;
  }

  connect(serve: (handler: StreamHandler, context: CallContext) => void): void {
    const { network, from } = this;
    const cutMs = this.cutUntilMs(true) || this.cutUntilMs(false);
    const delayMs = cutMs ? BREAKS_AFTER_MS : network.delayMs();
    network.timeline.after(delayMs, () => {
      if (this.isOver) return;
      const endpoint = network.at(this.#address);
      if (cutMs || endpoint === undefined || endpoint.isDead) {
        this.end(unreachable(cutMs ? 'no answer' : 'connection refused'));
        return;
      }
      this.to = endpoint;
      const handler = endpoint.handler(this.method.path) as StreamHandler | undefined;
      if (handler === undefined) this.end(unreachable('no such call'));
      else serve(handler, contextOf(from));
      this.near.flush();
    });
  }

  cutUntilMs(fromNear: boolean): number {
    const a = this.from.machine;
    const b = this.#toMachine;
    return fromNear ? this.network.cutUntilMs(a, b) : this.network.cutUntilMs(b, a);
  }

  /** A process at one end died: the other end hears of it, later where the link is cut. */
  lostEnd(endpoint: Endpoint): void {
    if (this.isOver || (endpoint !== this.from && endpoint !== this.to)) return;
    const isNear = endpoint === this.from;
    const delayMs = this.cutUntilMs(isNear) ? BREAKS_AFTER_MS : this.network.delayMs();
    this.network.timeline.after(delayMs, () => this.end(unreachable('connection reset')));
  }

  end(error: SwarmError | undefined): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const fn of this.#over) fn();
    this.near.closed(error);
    this.far.closed(error);
  }
}

class End implements Duplex<unknown, unknown> {
  unsentBytes = 0;
  readonly #stream: Stream;
  readonly #isNear: boolean;
  readonly #onMessage: ((message: unknown) => void)[] = [];
  readonly #onClose: ((error: SwarmError | undefined) => void)[] = [];
  readonly #onDrain: (() => void)[] = [];
  #arrivedMs = 0;
  #early: (() => void)[] = [];
  #read: unknown[] = [];

  constructor(stream: Stream, isNear: boolean) {
    this.#stream = stream;
    this.#isNear = isNear;
  }
  send(message: unknown): void {
    this.sendThen(message, () => undefined);
  }
  sendEncoded(bytes: Uint8Array): void {
    const message = this.#codec().decode(bytes);
    const owner = this.#stream.ownerOf(this.#isNear);
    if (!owner || owner.isDead) return;
    if (this.#stream.isRaft && this.#isNear) {
      this.#stream.network.onFrame(owner, message as RaftFrame);
    }
    this.unsentBytes += bytes.length;
    this.#transmit(message, () => {
      this.unsentBytes -= bytes.length;
      if (this.unsentBytes === 0) for (const fn of this.#onDrain) fn();
    });
  }
  sendThen(message: unknown, sent: () => void): void {
    const owner = this.#stream.ownerOf(this.#isNear);
    if (!owner || owner.isDead) return;
    const codec = this.#codec();
    this.#transmit(message === END ? END : codec.decode(codec.encode(message)), sent);
  }
  onMessage(fn: (message: unknown) => void): void {
    this.#onMessage.push(fn);
    for (const message of this.#read.splice(0)) fn(message);
  }
  onClose(fn: (error: SwarmError | undefined) => void): void {
    this.#onClose.push(fn);
  }
  onDrain(fn: () => void): void {
    this.#onDrain.push(fn);
  }
  end(): void {
    this.#stream.end(undefined);
  }
  destroy(error?: SwarmError): void {
    this.#stream.end(error);
  }
  /** The connection stands: what was sent before goes out. */
  flush(): void {
    for (const send of this.#early.splice(0)) send();
  }

  closed(error: SwarmError | undefined): void {
    const owner = this.#stream.ownerOf(this.#isNear);
    if (owner === undefined) return;
    const tell = (): void => {
      for (const fn of this.#onClose) fn(error);
    };
    this.#stream.network.timeline.after(0, tell, owner);
  }

  arrive(message: unknown): void {
    if (this.#stream.isOver || this.#stream.ownerOf(this.#isNear)?.isDead) return;
    if (this.#onMessage.length === 0) this.#read.push(message);
    for (const fn of this.#onMessage) fn(message);
  }

  #codec(): { encode(value: unknown): Uint8Array; decode(bytes: Uint8Array): unknown } {
    const { method } = this.#stream;
    return (this.#isNear ? method.request : method.response) as never;
  }

  #transmit(message: unknown, sent: () => void): void {
    const stream = this.#stream;
    if (stream.isOver) return;
    if (stream.to === undefined) {
      this.#early.push(() => this.#transmit(message, sent));
      return;
    }
    const { network } = stream;
    const { mood, counters } = network;
    const lossy = stream.isRaft;
    const cutMs = stream.cutUntilMs(this.#isNear);
    if (cutMs > 0) {
      counters.count('message met a cut link');
      network.timeline.after(BREAKS_AFTER_MS, () => {
        if (stream.cutUntilMs(this.#isNear) > 0) stream.end(unreachable('no answer'));
      });
      if (lossy && !mood.holds) {
        sent();
        return;
      }
    }
    if (lossy && network.chance(mood.drop)) {
      counters.count('message dropped');
      sent();
      return;
    }
    const delayMs = network.delayMs() + (cutMs > 0 ? cutMs - network.timeline.nowMs : 0);
    let atMs = network.timeline.nowMs + delayMs;
    if (lossy && network.chance(mood.reorder)) {
      counters.count('message overtaken');
      atMs += delayMs * 10;
    } else {
      atMs = Math.max(atMs, this.#arrivedMs);
      this.#arrivedMs = atMs;
    }
    const peer = this.#isNear ? stream.far : stream.near;
    const deliver = (): void => {
      sent();
      peer.arrive(message);
    };
    const to = stream.ownerOf(!this.#isNear);
    network.timeline.after(atMs - network.timeline.nowMs, deliver, to);
    if (lossy && network.chance(mood.duplicate)) {
      counters.count('message doubled');
      const again = (): void => peer.arrive(message);
      network.timeline.after(atMs - network.timeline.nowMs + delayMs * 3, again, to);
    }
  }
}

/** What a handler of an upload reads. */
class Feed implements AsyncIterable<unknown> {
  readonly #items: unknown[] = [];
  #wake: (() => void) | undefined;
  #error: SwarmError | undefined;
  #ended = false;

  constructor(end: End) {
    end.onMessage((item) => {
      if (item === END) this.#ended = true;
      else this.#items.push(item);
      this.#wake?.();
    });
    end.onClose((error) => {
      this.#error = error ?? unreachable('the stream ended');
      this.#wake?.();
    });
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<unknown, void> {
    for (;;) {
      if (this.#items.length > 0) yield this.#items.shift();
      else if (this.#ended) return;
      else if (this.#error) throw this.#error;
      else {
        await new Promise<void>((wake) => {
          this.#wake = wake;
        });
      }
    }
  }
}

export function addressOf(machine: number): string {
  return `machine-${machine}:1`;
}
export function machineOf(address: string): number {
  return Number(/-(\d+):/.exec(address)?.[1]);
}

function contextOf(from: Endpoint): CallContext {
  return {
    peer: { kind: 'node', nodeId: from.nodeId, role: Role.MANAGER, clusterId: 'cluster' },
    peerAddress: from.address,
    requestId: '',
    consistency: 'linearizable',
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    forwarded: false,
  };
}

function unreachable(why: string): SwarmError {
  return new SwarmError('UNREACHABLE', why);
}
