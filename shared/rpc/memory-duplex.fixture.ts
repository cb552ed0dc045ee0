import type { SwarmError } from '../errors.ts';
import type { Duplex } from './rpc.ts';

/** For tests: one end of a stream in memory. What is sent arrives in a later microtask. */
export class MemoryDuplex<In, Out> implements Duplex<In, Out> {
  readonly unsentBytes = 0;
  peer: MemoryDuplex<Out, In> | undefined;
  readonly #messageListeners: ((message: In) => void)[] = [];
  readonly #closeListeners: ((error: SwarmError | undefined) => void)[] = [];
  #early: In[] = [];
  #closed = false;

  send(message: Out): void {
    queueMicrotask(() => this.peer?.receive(message));
  }
  sendEncoded(): void {
    throw new Error('not used here');
  }
  onMessage(fn: (message: In) => void): void {
    this.#messageListeners.push(fn);
    const early = this.#early;
    this.#early = [];
    for (const message of early) fn(message);
  }
  onClose(fn: (error: SwarmError | undefined) => void): void {
    this.#closeListeners.push(fn);
  }
  onDrain(): void {}
  end(): void {
    queueMicrotask(() => this.finish(undefined));
  }
  destroy(error?: SwarmError): void {
    queueMicrotask(() => this.finish(error));
  }
  receive(message: In): void {
    if (this.#closed) return;
    if (this.#messageListeners.length === 0) this.#early.push(message);
    for (const fn of [...this.#messageListeners]) fn(message);
  }
  finish(error: SwarmError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const fn of this.#closeListeners.splice(0)) fn(error);
    this.peer?.finish(error);
  }
}

/** Both ends of one stream. */
export function memoryDuplex<A, B>(): {
  readonly near: MemoryDuplex<A, B>;
  readonly far: MemoryDuplex<B, A>;
} {
  const near = new MemoryDuplex<A, B>();
  const far = new MemoryDuplex<B, A>();
  near.peer = far;
  far.peer = near;
  return { near, far };
}
