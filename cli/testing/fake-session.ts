import type { AnyMethod } from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { memoryDuplex } from '../../shared/rpc/memory-duplex.fixture.ts';
import type { Client } from '../../shared/rpc/rpc.ts';

// biome-ignore lint/suspicious/noExplicitAny: answers of many methods stand in one table.
type Answer = (request: any) => unknown;

/** A daemon without a socket: answers by method name, and keeps what it was asked. */
export class FakeClient implements Client {
  readonly address = '/fake.sock';
  readonly calls: { readonly name: string; readonly request: unknown }[] = [];
  closed = false;
  readonly #answers: { readonly [name: string]: Answer };

  /** A streaming method's answer is an array; an answer that throws is an error of the daemon. */
  constructor(answers: { readonly [name: string]: Answer }) {
    this.#answers = answers;
  }
  unary: Client['unary'] = async (method, request) => this.#answer(method, request) as never;
  async *serverStream(method: never, request: unknown): AsyncIterable<never> {
    for (const item of this.#answer(method, request) as readonly never[]) yield item;
  }
  clientStream: Client['clientStream'] = () => Promise.reject(new Error('not used'));
  /** The answer gets the daemon's end of the stream. */
  duplex: Client['duplex'] = (method) => {
    const { near, far } = memoryDuplex<never, never>();
    const answer = this.#answers[method.path.split('/').at(-1)!];
    if (answer === undefined) queueMicrotask(() => near.finish(undefined));
    else answer(far);
    return near as never;
  };
  close(): void {
    this.closed = true;
  }
  requestsOf(name: string): readonly unknown[] {
    return this.calls.filter((call) => call.name === name).map((call) => call.request);
  }
  #answer(method: AnyMethod, request: unknown): unknown {
    const name = method.path.split('/').at(-1)!;
    this.calls.push({ name, request: method.request.decode(method.request.encode(request)) });
    const answer = this.#answers[name];
    if (answer === undefined) throw new SwarmError('UNSUPPORTED', `no answer for ${name}`);
    return answer(request);
  }
}
