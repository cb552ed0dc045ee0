import {
  DispatcherService,
  type Frame,
  type Init,
  type StreamDown,
  type StreamRequest,
  StreamUp,
} from '../../proto/index.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Client } from '../../shared/rpc/rpc.ts';

/** The agent's end of one stream that a manager asked for. */
export interface Wire {
  send(message: Omit<Init<StreamUp>, 'id'>): void;
  /** Resolves when what was sent is on its way, at once when little waits. */
  sent(): Promise<void>;
  /** Frames that come; those of before are kept until somebody listens. */
  onFrame(fn: (frame: Frame) => void): void;
  /** Aborts when nobody listens any more. */
  readonly signal: AbortSignal;
}

export interface StreamsDeps {
  readonly log: Log;
  /** Does what is asked; what it throws is told to who asked. */
  readonly serve: (request: StreamRequest, wire: Wire) => Promise<void>;
}

/**
 * Streams that a manager asked for. Nothing dials an agent, so it opens them itself, on connections
 * of their own: a flood of logs must hold up neither the session nor somebody's terminal.
 */
export class Streams {
  readonly #deps: StreamsDeps;
  readonly #open = new Map<string, AbortController>();
  readonly #clients = new Map<string, { readonly client: Client; users: number }>();

  constructor(deps: StreamsDeps) {
    this.#deps = deps;
  }
  /** `dial` connects to the leader that asked. Asked twice for the same id: served once. */
  serve(request: StreamRequest, address: string, dial: (address: string) => Client): void {
    if (this.#open.has(request.id)) return;
    const abort = new AbortController();
    this.#open.set(request.id, abort);
    const place = `${isBulk(request) ? 'bulk' : 'live'} ${address}`;
    const client = this.#client(place, () => dial(address));
    void this.#serve(request, client, abort).finally(() => {
      this.#open.delete(request.id);
      this.#release(place);
    });
  }
  stop(): void {
    for (const abort of this.#open.values()) abort.abort();
  }
  async #serve(request: StreamRequest, client: Client, abort: AbortController): Promise<void> {
    const wire = new DuplexWire(request.id, client, abort);
    try {
      if (this.#open.size > LIMITS.taskStreamsMax) {
        throw new SwarmError('OVERLOADED', 'This node has too many open streams.');
      }
      await this.#deps.serve(request, wire);
      wire.send({ end: true });
    } catch (error) {
      this.#deps.log.warn({ stream: request.id, error: messageOf(error) }, 'stream failed');
      wire.send({ end: true, error: messageOf(error) });
    }
    await wire.end();
  }
  #client(place: string, dial: () => Client): Client {
    const entry = this.#clients.get(place) ?? { client: dial(), users: 0 };
    entry.users++;
    this.#clients.set(place, entry);
    return entry.client;
  }
  #release(place: string): void {
    const entry = this.#clients.get(place);
    if (!entry || --entry.users > 0) return;
    this.#clients.delete(place);
    entry.client.close();
  }
}

/** Much at once, and nobody sits before it. */
function isBulk({ logs, task }: StreamRequest): boolean {
  return logs !== null || (task !== null && (task.files !== null || task.volume !== null));
}

class DuplexWire implements Wire {
  readonly signal: AbortSignal;
  readonly #id: string;
  readonly #stream;
  readonly #closed: Promise<void>;
  #early: Frame[] = [];
  #listener: ((frame: Frame) => void) | undefined;
  #drained: () => void = () => undefined;

  constructor(id: string, client: Client, abort: AbortController) {
    this.#id = id;
    this.signal = abort.signal;
    this.#stream = client.duplex(DispatcherService.stream);
    this.#stream.onMessage((message: StreamDown) => {
      if (message.cancel) abort.abort();
      if (message.frame !== null) this.#take(message.frame);
    });
    this.#closed = new Promise((resolve) => this.#stream.onClose(() => resolve()));
    void this.#closed.then(() => abort.abort());
    this.#stream.onDrain(() => this.#drained());
    // The first message names the stream, also when there is nothing to tell for a long time.
    this.send({});
  }
  send(message: Omit<Init<StreamUp>, 'id'>): void {
    this.#stream.send(StreamUp.create({ ...message, id: this.#id }));
  }
  async sent(): Promise<void> {
    if (this.#stream.unsentBytes <= LIMITS.sessionUnsentBytesMax || this.signal.aborted) return;
    const drain = new Promise<void>((resolve) => {
      this.#drained = resolve;
    });
    await Promise.race([drain, this.#closed]);
  }
  onFrame(fn: (frame: Frame) => void): void {
    this.#listener = fn;
    const early = this.#early;
    this.#early = [];
    for (const frame of early) fn(frame);
  }
  /** Who closes the connection before that takes back what has not been sent yet. */
  async end(): Promise<void> {
    this.#stream.end();
    await this.#closed;
  }
  #take(frame: Frame): void {
    if (this.#listener !== undefined) this.#listener(frame);
    else this.#early.push(frame);
  }
}
