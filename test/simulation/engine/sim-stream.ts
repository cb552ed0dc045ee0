import { type Method, type RaftFrame, Role } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { CallContext, Duplex } from '../../../shared/rpc/rpc.ts';
import type { Endpoint, SimNetwork } from './sim-network.ts';

export type AnyMethod = Method<unknown, unknown, boolean, boolean>;
type StreamHandler = (stream: Duplex<unknown, unknown>, context: CallContext) => void;

/** A connection that hears nothing for this long ends. */
const BREAKS_AFTER_MS = 3_000;
export const END = Symbol('end of an upload');
/** Field 2047, of 4 bytes: no release knows it yet. */
const FUTURE_FIELD = Uint8Array.of(0xfa, 0x7f, 0x04, 0x6e, 0x65, 0x77, 0x73);

/** One call on a connection of its own. */
export class Stream {
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

  constructor(
    network: SimNetwork,
    from: Endpoint,
    address: string,
    toMachine: number,
    method: AnyMethod,
  ) {
    this.network = network;
    this.from = from;
    this.method = method;
    this.#address = address;
    this.#toMachine = toMachine;
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

/** One end of a stream. What it sends arrives as an event of the timeline, or not at all. */
class End implements Duplex<unknown, unknown> {
  unsentBytes = 0;
  #unsentFrames = 0;
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
    const owner = this.#stream.ownerOf(this.#isNear);
    if (!owner || owner.isDead) return;
    const message = this.#codec().decode(asSentBy(owner, bytes));
    if (this.#stream.isRaft && this.#isNear)
      this.#stream.network.onFrame(owner, message as RaftFrame);
    if (this.#stream.isRaft)
      this.#stream.network.onQueued(owner, this.unsentBytes, this.#unsentFrames);
    this.unsentBytes += bytes.length;
    this.#unsentFrames++;
    this.#transmit(message, () => {
      this.unsentBytes -= bytes.length;
      this.#unsentFrames--;
      if (this.unsentBytes === 0) for (const fn of this.#onDrain) fn();
    });
  }
  sendThen(message: unknown, sent: () => void): void {
    const owner = this.#stream.ownerOf(this.#isNear);
    if (!owner || owner.isDead) return;
    const codec = this.#codec();
    if (message === END) this.#transmit(END, sent);
    else this.#transmit(codec.decode(asSentBy(owner, codec.encode(message))), sent);
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
    const owner = this.#stream.ownerOf(this.#isNear);
    if (this.#stream.isOver || owner?.isDead) return;
    if (this.#stream.isRaft && !this.#isNear && owner)
      this.#stream.network.onArrived(owner, message as RaftFrame);
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
    const cutMs = stream.cutUntilMs(this.#isNear);
    if (cutMs > 0) this.#meetsCut();
    const isLost =
      stream.isRaft &&
      ((cutMs > 0 && !network.mood.holds) || this.#happens('message dropped', network.mood.drop));
    if (isLost) {
      sent();
      return;
    }
    // Sent again and again until it arrives, or the connection breaks: a link may heal early.
    const heldMs = cutMs > 0 ? Math.min(cutMs - network.timeline.nowMs, BREAKS_AFTER_MS) : 0;
    this.#deliver(message, heldMs, sent);
  }

  /** `heldMs`: how long it waits until its link works again. */
  #deliver(message: unknown, heldMs: number, sent: () => void): void {
    const stream = this.#stream;
    const { mood, timeline } = stream.network;
    const delayMs = stream.network.delayMs();
    let atMs = timeline.nowMs + heldMs + delayMs;
    if (stream.isRaft && this.#happens('message overtaken', mood.reorder)) atMs += delayMs * 10;
    else {
      atMs = Math.max(atMs, this.#arrivedMs);
      this.#arrivedMs = atMs;
    }
    const peer = this.#isNear ? stream.far : stream.near;
    const to = stream.ownerOf(!this.#isNear);
    const arrive = (): void => {
      sent();
      peer.arrive(message);
    };
    const afterMs = atMs - timeline.nowMs;
    timeline.after(afterMs, arrive, to);
    if (stream.isRaft && this.#happens('message doubled', mood.duplicate))
      timeline.after(afterMs + delayMs * 3, () => peer.arrive(message), to);
  }

  #meetsCut(): void {
    const { network } = this.#stream;
    network.counters.count('message met a cut link');
    network.timeline.after(BREAKS_AFTER_MS, () => {
      if (this.#stream.cutUntilMs(this.#isNear) > 0) this.#stream.end(unreachable('no answer'));
    });
  }

  #happens(name: string, thousandths: number): boolean {
    const { network } = this.#stream;
    if (!network.chance(thousandths)) return false;
    network.counters.count(name);
    return true;
  }
}

/** What a handler of an upload reads. */
export class Feed implements AsyncIterable<unknown> {
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

function asSentBy(owner: Endpoint, bytes: Uint8Array): Uint8Array {
  return owner.isNewer ? Buffer.concat([bytes, FUTURE_FIELD]) : bytes;
}

function contextOf(from: Endpoint): CallContext {
  let abort: AbortController | undefined;
  return {
    peer: { kind: 'node', nodeId: from.nodeId, role: Role.MANAGER, clusterId: 'cluster' },
    peerAddress: from.address,
    requestId: '',
    consistency: 'linearizable',
    timeoutMs: 10_000,
    // Most handlers never look at it, and it costs more than the rest of a call.
    get signal() {
      abort ??= new AbortController();
      return abort.signal;
    },
    forwarded: false,
  };
}

export function unreachable(why: string): SwarmError {
  return new SwarmError('UNREACHABLE', why);
}
