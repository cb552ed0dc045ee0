import { connect, type Socket } from 'node:net';
import {
  type ListenFailure,
  NetdDown,
  type NetdHello,
  type NetdHelloAnswer,
  type NetdRows,
  NetdUp,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { FrameReader, frame } from './netd/framing.ts';

export interface NetdClientEvents {
  onHello(answer: NetdHelloAnswer): void;
  onApplied(index: number, failures: readonly ListenFailure[]): void;
  onClosed(): void;
}

/** One connection of swarmd to its netd. */
export class NetdClient {
  readonly #socket: Socket;
  /** Who waits for the count of which task, oldest first. */
  readonly #questions = new Map<string, ((open: number | undefined) => void)[]>();
  #asked = 0;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }
  /** Rejects with the system's error when no netd answers at the path. */
  static connect(path: string, events: NetdClientEvents): Promise<NetdClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        const client = new NetdClient(socket);
        client.#listen(events);
        resolve(client);
      });
    });
  }
  get closed(): boolean {
    return this.#socket.destroyed;
  }
  hello(hello: NetdHello): void {
    this.#send(NetdUp.create({ hello }));
  }
  rows(rows: NetdRows): void {
    this.#send(NetdUp.create({ rows }));
  }
  /** Open connections of a task, as netd counts them; undefined when it does not say. */
  count(taskId: string): Promise<number | undefined> {
    if (this.#asked >= LIMITS.netdQuestionsMax || !this.#socket.writable)
      return Promise.resolve(undefined);
    this.#asked++;
    return new Promise((resolve) => {
      const waiting = this.#questions.get(taskId);
      if (waiting) waiting.push(resolve);
      else this.#questions.set(taskId, [resolve]);
      this.#send(NetdUp.create({ connections: { taskId } }));
    });
  }
  /** Asks netd to end and forget everything. */
  end(): void {
    this.#send(NetdUp.create({ end: true }));
  }
  close(): void {
    this.#socket.destroy();
  }

  #send(message: NetdUp): void {
    if (this.#socket.writable) this.#socket.write(frame(NetdUp.encode(message)));
  }
  #listen(events: NetdClientEvents): void {
    const reader = new FrameReader((bytes) => this.#receive(NetdDown.decode(bytes), events));
    this.#socket.on('data', (chunk) => {
      try {
        reader.push(chunk);
      } catch (error) {
        this.#socket.destroy(SwarmError.is(error) ? error : new Error('unreadable message'));
      }
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      for (const waiting of this.#questions.values())
        for (const answer of waiting) answer(undefined);
      this.#questions.clear();
      events.onClosed();
    });
  }
  #receive(message: NetdDown, events: NetdClientEvents): void {
    if (message.hello) events.onHello(message.hello);
    else if (message.applied) events.onApplied(message.applied.index, message.applied.failures);
    else if (message.connections) this.#answer(message.connections);
  }
  #answer({ taskId, open }: { readonly taskId: string; readonly open: number }): void {
    const waiting = this.#questions.get(taskId);
    const first = waiting?.shift();
    if (waiting?.length === 0) this.#questions.delete(taskId);
    if (first === undefined) return;
    this.#asked--;
    first(open);
  }
}
