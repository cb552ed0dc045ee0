import type { Method } from '../../proto/index.ts';
import type { SwarmError } from '../errors.ts';
import { Attempts, type Target } from './attempts.ts';
import { endWith, floodError, isFlooded } from './relay.ts';
import type { CallContext, Duplex } from './rpc.ts';

type AnyDuplex = Duplex<unknown, unknown>;
export type Talking = (stream: AnyDuplex, context: CallContext) => void;

/**
 * A talk that the leader alone can have: passed on to it, message by message. Until a leader has
 * answered, what was said is kept, and said again to the next one.
 */
export function forwardDuplex(
  target: Target,
  local: Talking,
  stream: AnyDuplex,
  context: CallContext,
): void {
  const attempts = new Attempts(target, context);
  if (attempts.here()) local(stream, attempts.context());
  else new PassedOn(target, local, stream, attempts).begin();
}

class PassedOn {
  readonly #target: Target;
  readonly #local: Talking;
  readonly #caller: AnyDuplex;
  readonly #attempts: Attempts;
  #said: unknown[] = [];
  #leader: AnyDuplex | undefined;
  #answered = false;
  #over = false;

  constructor(target: Target, local: Talking, caller: AnyDuplex, attempts: Attempts) {
    this.#target = target;
    this.#local = local;
    this.#caller = caller;
    this.#attempts = attempts;
  }
  begin(): void {
    this.#caller.onMessage((message) => this.#fromCaller(message));
    this.#caller.onClose((error) => {
      this.#over = true;
      if (this.#leader !== undefined) endWith(this.#leader, error);
    });
    this.#attempt();
  }
  #fromCaller(message: unknown): void {
    if (!this.#answered) this.#said.push(message);
    this.#leader?.send(message);
    if (this.#said.length > SAID_MAX || isFlooded(this.#leader)) this.#cutOff();
  }
  #attempt(): void {
    try {
      if (this.#attempts.here()) {
        this.#answered = true;
        this.#local(new Repeated(this.#caller, this.#said), this.#attempts.context());
        return;
      }
      const method = this.#target.method as Method<unknown, unknown, true, true>;
      const options = this.#attempts.streamOptions();
      const leader: AnyDuplex = this.#attempts.leader().duplex(method, options);
      this.#leader = leader;
      leader.onMessage((message) => this.#fromLeader(message));
      leader.onClose((error) => void this.#leaderClosed(error));
      for (const message of this.#said) leader.send(message);
    } catch (error) {
      void this.#leaderClosed(error as SwarmError);
    }
  }
  #fromLeader(message: unknown): void {
    this.#answered = true;
    this.#said = [];
    this.#caller.send(message);
    if (isFlooded(this.#caller)) this.#cutOff();
  }
  #cutOff(): void {
    const error = floodError();
    this.#leader?.destroy(error);
    this.#caller.destroy(error);
  }
  async #leaderClosed(error: SwarmError | undefined): Promise<void> {
    this.#leader = undefined;
    if (this.#over) return;
    try {
      if (error === undefined || this.#answered) endWith(this.#caller, error);
      else {
        await this.#attempts.failed(error);
        if (!this.#over) this.#attempt();
      }
    } catch (last) {
      this.#caller.destroy(last as SwarmError);
    }
  }
}

/** Messages that wait for a leader: the first says what is wanted, and its answer is waited for. */
const SAID_MAX = 1_000;

/** The caller's stream again, from its first message. */
class Repeated implements AnyDuplex {
  readonly #inner: AnyDuplex;
  readonly #said: readonly unknown[];

  constructor(inner: AnyDuplex, said: readonly unknown[]) {
    this.#inner = inner;
    this.#said = said;
  }
  get unsentBytes(): number {
    return this.#inner.unsentBytes;
  }
  onMessage(fn: (message: unknown) => void): void {
    for (const message of this.#said) fn(message);
    this.#inner.onMessage(fn);
  }
  send(message: unknown): void {
    this.#inner.send(message);
  }
  sendEncoded(bytes: Uint8Array): void {
    this.#inner.sendEncoded(bytes);
  }
  onClose(fn: (error: SwarmError | undefined) => void): void {
    this.#inner.onClose(fn);
  }
  onDrain(fn: () => void): void {
    this.#inner.onDrain(fn);
  }
  end(): void {
    this.#inner.end();
  }
  destroy(error?: SwarmError): void {
    this.#inner.destroy(error);
  }
}
