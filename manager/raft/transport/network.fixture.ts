import type { Codec, Method } from '../../../proto/index.ts';
import { Role } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { CallContext, Client, Duplex } from '../../../shared/rpc/rpc.ts';
import type { raftHandlers } from '../service.ts';
import type { ProbeResult } from './probe.ts';

type AnyCodec = Codec<unknown>;
type Handlers = ReturnType<typeof raftHandlers>;

/** For tests: members in one process, messages encoded and decoded, links cut and hosts stopped. */
export class TestNetwork {
  readonly #hosts = new Map<string, Handlers>();
  readonly #cut = new Set<string>();
  readonly #deaf = new Set<string>();
  readonly #streams = new Set<{ from: string; to: string; break: () => void }>();

  listen(address: string, handlers: Handlers): void {
    this.#hosts.set(address, handlers);
  }
  /** As a process that is gone: its streams are reset and its port refuses. */
  kill(address: string): void {
    this.#hosts.delete(address);
    this.#breakWhere((from, to) => from === address || to === address);
  }
  /** Both ways: nothing arrives, nothing is refused. */
  cut(address: string): void {
    this.#cut.add(address);
    this.#breakWhere((from, to) => from === address || to === address);
  }
  /** It speaks, and hears nothing. */
  deafen(address: string): void {
    this.#deaf.add(address);
    this.#breakWhere((_from, to) => to === address);
  }
  heal(address: string): void {
    this.#cut.delete(address);
    this.#deaf.delete(address);
  }
  probe(address: string): ProbeResult {
    if (this.#cut.has(address)) return 'unknown';
    return this.#hosts.has(address) ? 'open' : 'refused';
  }

  dial(from: string, nodeId: string, to: string): Client {
    const context = contextOf(nodeId);
    return {
      address: to,
      duplex: (method) => this.#duplex(from, to, method as never, context) as never,
      clientStream: (method, requests) => {
        const handler = this.#handler(from, to, method.path) as (
          r: unknown,
          c: CallContext,
        ) => Promise<never>;
        return handler(recode(method, requests), context);
      },
      unary: (method, request) => {
        const handler = this.#handler(from, to, method.path) as (
          r: unknown,
          c: CallContext,
        ) => Promise<never>;
        return handler(request, context);
      },
      serverStream: () => {
        throw new Error('raft has no such call');
      },
      close: () => undefined,
    };
  }

  #handler(from: string, to: string, path: string): unknown {
    const host = this.#hosts.get(to);
    if (!host || this.#cut.has(from) || this.#cut.has(to) || this.#deaf.has(to))
      throw unreachable();
    const name = path.slice(path.lastIndexOf('/') + 1);
    return host[`${name[0]!.toLowerCase()}${name.slice(1)}` as keyof Handlers];
  }

  #duplex(
    from: string,
    to: string,
    method: Method<unknown, unknown, true, true>,
    context: CallContext,
  ): Duplex<unknown, unknown> {
    const near = new End(method.request, method.response);
    const far = new End(method.response, method.request);
    near.peer = far;
    far.peer = near;
    const link = { from, to, break: () => near.destroy(unreachable()) };
    this.#streams.add(link);
    near.onClose(() => this.#streams.delete(link));
    try {
      const handler = this.#handler(from, to, method.path) as (s: unknown, c: CallContext) => void;
      handler(far, context);
    } catch (error) {
      near.destroy(error as SwarmError);
    }
    return near;
  }

  #breakWhere(hit: (from: string, to: string) => boolean): void {
    for (const link of [...this.#streams]) if (hit(link.from, link.to)) link.break();
  }
}

class End implements Duplex<unknown, unknown> {
  readonly unsentBytes = 0;
  peer!: End;
  readonly #out: AnyCodec;
  readonly #in: AnyCodec;
  readonly #messageListeners: ((message: unknown) => void)[] = [];
  readonly #closeListeners: ((error: SwarmError | undefined) => void)[] = [];
  #closed = false;

  constructor(out: AnyCodec, into: AnyCodec) {
    this.#out = out;
    this.#in = into;
  }
  send(message: unknown): void {
    this.sendEncoded(this.#out.encode(message));
  }
  sendEncoded(bytes: Uint8Array): void {
    if (this.#closed) return;
    queueMicrotask(() => this.peer.#arrive(bytes));
  }
  onMessage(fn: (message: unknown) => void): void {
    this.#messageListeners.push(fn);
  }
  onClose(fn: (error: SwarmError | undefined) => void): void {
    this.#closeListeners.push(fn);
  }
  onDrain(): void {}
  end(): void {
    this.destroy();
  }
  destroy(error?: SwarmError): void {
    this.#close(error);
    this.peer.#close(error);
  }
  #arrive(bytes: Uint8Array): void {
    if (this.#closed) return;
    for (const fn of this.#messageListeners) fn(this.#in.decode(bytes));
  }
  #close(error: SwarmError | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    queueMicrotask(() => {
      for (const fn of this.#closeListeners) fn(error);
    });
  }
}

async function* recode<T>(
  method: { request: { encode(v: T): Uint8Array; decode(b: Uint8Array): T } },
  items: AsyncIterable<T>,
) {
  for await (const item of items) yield method.request.decode(method.request.encode(item));
}

function contextOf(nodeId: string): CallContext {
  return {
    peer: { kind: 'node', nodeId, role: Role.MANAGER, clusterId: 'cluster' },
    peerAddress: '',
    requestId: '',
    consistency: 'linearizable',
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    forwarded: false,
  };
}

function unreachable(): SwarmError {
  return new SwarmError('UNREACHABLE', 'no route');
}
