import type { Codec } from '../../proto/index.ts';
import type { SwarmError } from '../errors.ts';
import type { Duplex } from './rpc.ts';
import { asBuffer } from './wire.ts';

/** The part of grpc-js's streams that is used here; the same at both ends. */
export interface RawStream {
  write(chunk: never, sent: () => void): boolean;
  end(): unknown;
  pause(): unknown;
  resume(): unknown;
  on(event: 'data', fn: (message: unknown) => void): unknown;
}

/** What differs between the two ends of a stream. */
export interface DuplexEnd {
  /** Sends the error to the other end (server) or cancels the call (client). */
  abort(error: SwarmError | undefined): void;
}

/** One end of a bidirectional stream over grpc-js, counting what has not been handed to the socket. */
export class StreamDuplex<In, Out> implements Duplex<In, Out> {
  readonly #stream: RawStream;
  readonly #out: Codec<Out>;
  readonly #end: DuplexEnd;
  readonly #closeListeners: ((error: SwarmError | undefined) => void)[] = [];
  readonly #drainListeners: (() => void)[] = [];
  #unsentBytes = 0;
  #ended = false;
  #closed: { readonly error: SwarmError | undefined } | undefined;

  constructor(stream: RawStream, out: Codec<Out>, end: DuplexEnd) {
    this.#stream = stream;
    this.#out = out;
    this.#end = end;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  send(message: Out): void {
    if (!this.#ended) this.sendEncoded(this.#out.encode(message));
  }

  sendEncoded(bytes: Uint8Array): void {
    if (this.#ended) return;
    this.#unsentBytes += bytes.length;
    this.#stream.write(asBuffer(bytes) as never, () => {
      this.#unsentBytes -= bytes.length;
      if (this.#unsentBytes === 0) for (const fn of this.#drainListeners) fn();
    });
  }

  onMessage(fn: (message: In) => void): void {
    this.#stream.on('data', (message) => {
      if (this.#closed === undefined) fn(message as In);
    });
  }

  onClose(fn: (error: SwarmError | undefined) => void): void {
    const closed = this.#closed;
    if (closed === undefined) this.#closeListeners.push(fn);
    else queueMicrotask(() => fn(closed.error));
  }

  onDrain(fn: () => void): void {
    this.#drainListeners.push(fn);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#stream.end();
  }

  destroy(error?: SwarmError): void {
    if (this.#closed !== undefined) return;
    this.#ended = true;
    this.#end.abort(error);
    this.closed(error);
  }

  /** The stream is over: tells the listeners, once and not from inside the caller's own call. */
  closed(error: SwarmError | undefined): void {
    if (this.#closed !== undefined) return;
    this.#ended = true;
    this.#closed = { error };
    queueMicrotask(() => {
      for (const fn of this.#closeListeners.splice(0)) fn(error);
    });
  }
}
