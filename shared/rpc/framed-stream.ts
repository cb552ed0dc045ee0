import { Readable, Writable } from 'node:stream';
import { type Channel, Frame } from '../../proto/index.ts';
import { SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';

/** Several byte streams of one talk, both ways, over whatever carries its frames. */
export interface FramedStreamOptions {
  /** Takes a frame to the other end. */
  readonly send: (frame: Frame) => void;
  /** Channels that come in here. Data for others, or beyond what was granted, ends the talk. */
  readonly incoming: readonly Channel[];
  /** Called once when the other end breaks the rules. */
  readonly onViolation: (error: SwarmError) => void;
}

/**
 * One end of a talk. A channel's sender has at most a window of bytes under way that the reader at
 * the other end has not taken: a slow reader holds up its channel alone, and nothing on the way has
 * to keep more than a window of each.
 */
export class FramedStream {
  readonly #options: FramedStreamOptions;
  readonly #incoming: ReadonlyMap<Channel, Incoming>;
  readonly #outgoing = new Map<Channel, Outgoing>();
  #closed = false;

  constructor(options: FramedStreamOptions) {
    this.#options = options;
    const send = (frame: Frame): void => this.send(frame);
    this.#incoming = new Map(
      options.incoming.map((channel) => [channel, new Incoming(channel, send)]),
    );
  }
  /** A frame that carries no data; nothing is sent after `close`. */
  send(frame: Frame): void {
    if (!this.#closed) this.#options.send(frame);
  }
  /** What comes in on a channel of `incoming`. */
  reader(channel: Channel): Readable {
    const incoming = this.#incoming.get(channel);
    if (incoming === undefined) throw new Error(`channel ${channel} does not come in here`);
    return incoming.readable;
  }
  /** What is written goes out on this channel; its end is told too. */
  writer(channel: Channel): Writable {
    const known = this.#outgoing.get(channel);
    const outgoing = known ?? new Outgoing(channel, (frame) => this.send(frame));
    this.#outgoing.set(channel, outgoing);
    return outgoing.writable;
  }
  /** Takes the parts of a frame that concern data. */
  take(frame: Frame): void {
    if (this.#closed) return;
    const { data, grant } = frame;
    if (data !== null && this.#incoming.get(data.channel)?.take(data.data, data.end) !== true) {
      const message = 'The other end of the stream sent more than it was allowed to.';
      const error = new SwarmError('INVALID_ARGUMENT', message);
      this.close(error);
      this.#options.onViolation(error);
      return;
    }
    if (grant !== null) this.#outgoing.get(grant.channel)?.granted(grant.bytes);
  }
  /** The carrier is gone: readers end, or fail with `error`; what is unsent is dropped. */
  close(error?: SwarmError): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const incoming of this.#incoming.values()) incoming.close(error);
    for (const outgoing of this.#outgoing.values()) outgoing.close();
  }
}

/** Grants are gathered: a message for each small piece would cost more than the piece. */
const GRANT_STEP_BYTES = LIMITS.streamWindowBytes / 4;

class Incoming {
  readonly readable: Readable;
  readonly #channel: Channel;
  readonly #send: (frame: Frame) => void;
  readonly #queue: Uint8Array[] = [];
  #allowed: number = LIMITS.streamWindowBytes;
  #taken = 0;
  #ended = false;
  #wanted = false;

  constructor(channel: Channel, send: (frame: Frame) => void) {
    this.#channel = channel;
    this.#send = send;
    this.readable = new Readable({ read: () => this.#read() });
    // Whoever reads it sees its error; without a reader there is nobody to tell.
    this.readable.on('error', () => undefined);
  }
  /** False: the sender broke the rules. */
  take(bytes: Uint8Array, end: boolean): boolean {
    if (this.#ended || bytes.length > this.#allowed) return false;
    this.#allowed -= bytes.length;
    if (bytes.length > 0) this.#queue.push(bytes);
    this.#ended = end;
    if (this.#wanted) this.#read();
    return true;
  }
  close(error: SwarmError | undefined): void {
    if (error !== undefined) this.readable.destroy(error);
    else if (!this.#ended) {
      this.#ended = true;
      if (this.#wanted) this.#read();
    }
  }
  #read(): void {
    this.#wanted = true;
    while (this.#wanted) {
      const bytes = this.#queue.shift();
      if (bytes === undefined) break;
      this.#wanted = this.readable.push(bytes);
      this.#grant(bytes.length);
    }
    if (this.#queue.length === 0 && this.#ended && this.#wanted) {
      this.#wanted = false;
      this.readable.push(null);
    }
  }
  #grant(bytes: number): void {
    this.#taken += bytes;
    if (this.#taken < GRANT_STEP_BYTES || this.#ended) return;
    this.#allowed += this.#taken;
    this.#send(Frame.create({ grant: { channel: this.#channel, bytes: this.#taken } }));
    this.#taken = 0;
  }
}

class Outgoing {
  readonly writable: Writable;
  readonly #channel: Channel;
  readonly #send: (frame: Frame) => void;
  #credit: number = LIMITS.streamWindowBytes;
  #piece: Uint8Array | undefined;
  #done: (() => void) | undefined;

  constructor(channel: Channel, send: (frame: Frame) => void) {
    this.#channel = channel;
    this.#send = send;
    this.writable = new Writable({
      write: (chunk: Uint8Array, _encoding, done) => {
        this.#piece = chunk;
        this.#done = done;
        this.#pump();
      },
      final: (done) => {
        this.#send(Frame.create({ data: { channel, end: true } }));
        done();
      },
    });
    this.writable.on('error', () => undefined);
  }
  granted(bytes: number): void {
    this.#credit += bytes;
    this.#pump();
  }
  close(): void {
    this.writable.destroy();
  }
  #pump(): void {
    while (this.#piece !== undefined && this.#credit > 0) {
      const length = Math.min(this.#credit, LIMITS.streamPieceBytesMax, this.#piece.length);
      const data = this.#piece.subarray(0, length);
      this.#piece = length < this.#piece.length ? this.#piece.subarray(length) : undefined;
      this.#credit -= length;
      this.#send(Frame.create({ data: { channel: this.#channel, data } }));
    }
    if (this.#piece !== undefined) return;
    const done = this.#done;
    this.#done = undefined;
    done?.();
  }
}
