import { type Init, StreamDown, StreamRequest, type StreamUp } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import type { CallContext, Duplex } from '../../shared/rpc/rpc.ts';

export interface AgentStreamDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Asks the node's agent to open a stream; false when it has no session. */
  ask(nodeId: string, request: StreamRequest): boolean;
  /** A node without a session is about to have one: it is not down. */
  isExpected(nodeId: string): boolean;
  /** For errors. */
  nodeName(nodeId: string): string;
}

/** Who hears what comes on a stream. */
export interface StreamListener {
  receive(message: StreamUp): void;
  /** Called once, also when it never came about: NO_ANSWER or DEADLINE then, naming the node. */
  closed(error: SwarmError | undefined): void;
}

/** Streams with agents. Nothing dials an agent: it is asked on its session and opens them itself. */
export class AgentStreams {
  readonly #deps: AgentStreamDeps;
  readonly #open = new Map<string, AgentStream>();
  /** Requests for nodes that are expected, by the ids of their streams. */
  readonly #unasked = new Map<string, StreamRequest>();

  constructor(deps: AgentStreamDeps) {
    this.#deps = deps;
  }

  /** What the listener hears comes later, never from within. Who opens closes. */
  open(nodeId: string, what: Init<StreamRequest>, listener: StreamListener): AgentStream {
    const { clock, random } = this.#deps;
    const id = Buffer.from(random.bytes(16)).toString('hex');
    const name = this.#deps.nodeName(nodeId);
    const stream = new AgentStream(nodeId, name, clock, listener, () => {
      this.#open.delete(id);
      this.#unasked.delete(id);
    });
    this.#open.set(id, stream);
    const request = StreamRequest.create({ ...what, id });
    if (this.#deps.ask(nodeId, request)) return stream;
    if (this.#deps.isExpected(nodeId)) this.#unasked.set(id, request);
    else {
      const message = `Node ${name} has no connection to the leader.`;
      queueMicrotask(() => stream.fail(noAnswer(message, name)));
    }
    return stream;
  }

  /** The node has a session: it is asked for what somebody waits for. */
  arrived(nodeId: string): void {
    for (const [id, request] of this.#unasked) {
      if (this.#open.get(id)?.nodeId !== nodeId) continue;
      if (this.#deps.ask(nodeId, request)) this.#unasked.delete(id);
    }
  }

  /** `Dispatcher.Stream`: the first message says which request this answers. */
  serve(duplex: Duplex<StreamUp, StreamDown>, context: CallContext): void {
    let stream: AgentStream | undefined;
    duplex.onMessage((message) => {
      if (stream === undefined) {
        const asked = this.#open.get(message.id);
        const { peer } = context;
        if (asked === undefined || peer.kind !== 'node' || peer.nodeId !== asked.nodeId) {
          duplex.destroy(new SwarmError('NOT_FOUND', 'Nobody asked for this stream.'));
          return;
        }
        asked.attach(duplex);
        stream = asked;
      }
      stream.receive(message);
    });
    duplex.onClose((error) => stream?.fail(error));
  }

  /** Whoever waits for a node that is down hears so, unless it spoke on the stream itself since. */
  nodeDown(nodeId: string, heardMs: number): void {
    for (const stream of this.#open.values())
      if (stream.nodeId === nodeId && stream.heardMs <= heardMs) stream.lost();
  }

  /** This manager does not lead any more. */
  stop(error: SwarmError): void {
    for (const stream of this.#open.values()) stream.fail(error);
  }
}

/** One stream with an agent, from the moment it was asked for. */
export class AgentStream {
  readonly nodeId: string;
  readonly #nodeName: string;
  readonly #listener: StreamListener;
  readonly #forget: () => void;
  readonly #timer: Timer;
  readonly #early: StreamDown[] = [];
  readonly #clock: Clock;
  #duplex: Duplex<StreamUp, StreamDown> | undefined;
  #over = false;
  /** When the agent said something last. */
  heardMs = Number.NEGATIVE_INFINITY;

  constructor(
    nodeId: string,
    nodeName: string,
    clock: Clock,
    listener: StreamListener,
    forget: () => void,
  ) {
    this.nodeId = nodeId;
    this.#nodeName = nodeName;
    this.#clock = clock;
    this.#listener = listener;
    this.#forget = forget;
    this.#timer = clock.setTimer(LIMITS.streamOpenMs, () => {
      this.fail(new SwarmError('DEADLINE', `Node ${nodeName} did not answer in time.`));
    });
  }
  attach(duplex: Duplex<StreamUp, StreamDown>): void {
    this.#timer.cancel();
    this.#duplex = duplex;
    for (const message of this.#early.splice(0)) duplex.send(message);
  }
  receive(message: StreamUp): void {
    this.heardMs = this.#clock.monotonicMs();
    if (!this.#over) this.#listener.receive(message);
  }
  /** Its node is down: nothing will come any more. */
  lost(): void {
    const message = `The connection to node ${this.#nodeName} was lost: it says nothing any more.`;
    const error = noAnswer(message, this.#nodeName);
    this.#duplex?.destroy(error);
    this.fail(error);
  }
  fail(error: SwarmError | undefined): void {
    if (this.#over) return;
    this.#over = true;
    this.#timer.cancel();
    this.#forget();
    this.#listener.closed(this.#named(error));
  }
  send(message: Init<StreamDown>): void {
    const down = StreamDown.create(message);
    if (this.#duplex === undefined) this.#early.push(down);
    else this.#duplex.send(down);
  }
  get unsentBytes(): number {
    return this.#duplex?.unsentBytes ?? 0;
  }
  /** Stops messages from coming, and the agent by that, until `resume`. */
  pause(): void {
    this.#duplex?.pause?.();
  }
  resume(): void {
    this.#duplex?.resume?.();
  }
  /** The listener hears nothing more. */
  close(): void {
    this.#timer.cancel();
    this.#forget();
    this.#over = true;
    this.#duplex?.send(StreamDown.create({ cancel: true }));
    this.#duplex?.end();
  }
  /** A connection that broke names an address: people know nodes by name. */
  #named(error: SwarmError | undefined): SwarmError | undefined {
    if (error?.code !== 'UNREACHABLE' || error.details['reset'] !== 'true') return error;
    return noAnswer(`The connection to node ${this.#nodeName} was lost.`, this.#nodeName, error);
  }
}

/** It is the node that is away: another manager would not reach it either. */
function noAnswer(message: string, name: string, cause?: SwarmError): SwarmError {
  const advice = `See what is known of ${name}.`;
  return new SwarmError('NO_ANSWER', message, { cause, advice, command: `swarm why ${name}` });
}
