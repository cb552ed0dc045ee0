import { Backoff } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import { type ErrorCode, SwarmError } from '../errors.ts';
import { LIMITS } from '../limits.ts';
import type { Random } from '../random.ts';
import type { CallContext, CallOptions, Client, ServiceDefinition } from './rpc.ts';

export interface ForwardDeps {
  readonly clock: Clock;
  readonly random: Random;
  isLeader(): boolean;
  /** A client of the leader; undefined while none is known, and on the leader itself. */
  leaderClient(): Client | undefined;
  /** How long a call waits while nobody leads: an election, and one that has to be repeated. */
  leaderlessMs(): number;
  /** What to say when there is no leader: which managers are missing. */
  noLeader(): SwarmError;
  /** Methods that every manager tries itself first; the others go straight to the leader. */
  readonly local?: ReadonlySet<string>;
  /** Reads of `local` of which the leader, where it answers at once, knows more. */
  readonly leaderFirst?: ReadonlySet<string>;
}

/** A method that may be passed on. */
export interface Target {
  readonly name: string;
  readonly method: ServiceDefinition[string];
  readonly deps: ForwardDeps;
}

/** Errors of an attempt that came nowhere near the state: they say nothing about an earlier one. */
const BLIND: ReadonlySet<ErrorCode> = new Set([
  'OVERLOADED',
  'READ_ONLY',
  'UNAUTHENTICATED',
  'FORBIDDEN',
  'REMOVED',
  'NOT_A_MANAGER',
  'NOT_IN_CLUSTER',
  'DAMAGED',
  'STATE_DIR',
  'UNSUPPORTED',
  'INTERNAL',
]);

/** Decides where the next attempt goes and whether there is one. */
export class Attempts {
  readonly #target: Target;
  readonly #context: CallContext;
  readonly #backoff: Backoff;
  readonly #endMs: number;
  #leaderSaidNo = false;
  #leaderSeenMs: number;
  #maybeDone: SwarmError | undefined;

  constructor(target: Target, context: CallContext) {
    const { clock, random } = target.deps;
    this.#target = target;
    this.#context = context;
    this.#backoff = new Backoff(random, 20, 250);
    this.#leaderSeenMs = clock.monotonicMs();
    this.#endMs = this.#leaderSeenMs + Math.min(context.timeoutMs, LIMITS.writeDeadlineMs);
  }

  /** Whether this manager is to do it itself. */
  here(): boolean {
    const { deps, name } = this.#target;
    if (deps.isLeader() || this.#context.forwarded) return true;
    return !this.#leaderSaidNo && deps.local?.has(name) === true;
  }

  leader(): Client {
    const client = this.#target.deps.leaderClient();
    if (client === undefined) throw this.#target.deps.noLeader();
    return client;
  }

  context(): CallContext {
    return { ...this.#context, timeoutMs: this.#leftMs() };
  }

  options(): CallOptions {
    const { requestId, consistency, signal } = this.#context;
    return { requestId, consistency, signal, forwarded: true, timeoutMs: this.#leftMs() };
  }

  /** A stream lives as long as its caller listens: only its opening has a deadline. */
  streamOptions(): CallOptions {
    const { timeoutMs: _, ...options } = this.options();
    return options;
  }

  /** Waits until the next attempt is due, or throws what the caller gets. */
  async failed(error: unknown): Promise<void> {
    if (SwarmError.is(error) && error.code === 'MAYBE_DONE') this.#maybeDone = error;
    if (!this.#mayRetry(error)) throw this.#isBlind(error) ? this.#maybeDone : error;
    const { clock } = this.#target.deps;
    const waitMs = this.#backoff.nextDelayMs();
    if (this.#leftMs() <= waitMs || this.#isLeaderless()) throw this.#final(error);
    await pause(clock, waitMs, this.#context.signal);
  }

  #isBlind(error: unknown): boolean {
    return this.#maybeDone !== undefined && SwarmError.is(error) && BLIND.has(error.code);
  }

  #mayRetry(error: unknown): boolean {
    if (this.#context.forwarded || this.#context.signal.aborted || !SwarmError.is(error)) {
      return false;
    }
    switch (error.code) {
      case 'NOT_LEADER':
        this.#leaderSaidNo = true;
        return true;
      case 'DROPPED':
      case 'NO_QUORUM':
      case 'UNREACHABLE':
        return true;
      case 'MAYBE_DONE':
        // With a request id the leader answers what it already did instead of doing it twice.
        return this.#context.requestId !== '';
      default:
        return false;
    }
  }

  /** An election is waited out; nobody waits long for managers that are gone. */
  #isLeaderless(): boolean {
    const { deps } = this.#target;
    const nowMs = deps.clock.monotonicMs();
    if (deps.isLeader() || deps.leaderClient() !== undefined) this.#leaderSeenMs = nowMs;
    return nowMs - this.#leaderSeenMs >= deps.leaderlessMs();
  }

  /** An earlier attempt may have been done: then no later one may say that nothing was. */
  #final(error: unknown): unknown {
    const { deps } = this.#target;
    const leaderless = !deps.isLeader() && deps.leaderClient() === undefined;
    if (this.#maybeDone === undefined) return leaderless ? deps.noLeader() : error;
    if (!leaderless) return this.#maybeDone;
    const { message, details } = this.#maybeDone;
    const cause = deps.noLeader();
    return new SwarmError('MAYBE_DONE', `${message}; ${cause.message}`, { cause, details });
  }

  #leftMs(): number {
    return Math.max(0, this.#endMs - this.#target.deps.clock.monotonicMs());
  }
}

function pause(clock: Clock, delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(delayMs, () => {
      signal.removeEventListener('abort', aborted);
      resolve();
    });
    const aborted = (): void => {
      timer.cancel();
      reject(signal.reason);
    };
    signal.addEventListener('abort', aborted, { once: true });
    if (signal.aborted) aborted();
  });
}
