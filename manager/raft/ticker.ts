import type { Clock, Timer } from '../../shared/clock.ts';
import type { Random } from '../../shared/random.ts';
import { ELECTION_TICKS, type Timing } from './timing.ts';

export interface TickerOwner {
  /** A tick of raft time has passed. */
  tick(): void;
  /** Called first when a tick is very late: the process stood still. */
  paused(lateMs: number): void;
}

/**
 * Ticks of raft time. A late tick counts once, however late: a burst would start elections that
 * nobody needs. Waking an idle process up is what costs it most, so a member that hears its leader
 * sleeps for an election timeout from there, as nothing can be due before, and then counts the ticks
 * that it slept through. All members hear the same heartbeats: a part of a tick by chance keeps those
 * that drew the same number of ticks from standing together.
 */
export class Ticker {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #owner: TickerOwner;
  #timing: Timing;
  #timer: Timer | undefined;
  /** What the timer stands for, and since when. */
  #ticks = 1;
  #armedMs = 0;
  /** When the leader was heard last; before `#armedMs`: not since. */
  #heardMs = -1;

  constructor(clock: Clock, random: Random, timing: Timing, owner: TickerOwner) {
    this.#clock = clock;
    this.#random = random;
    this.#timing = timing;
    this.#owner = owner;
  }

  /** Also when who leads has changed: this member may have to act with every tick. */
  start(): void {
    this.#heardMs = -1;
    this.#arm(1, this.#timing.tickMs);
  }
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
  /** Takes effect with the next tick. */
  setTiming(timing: Timing): void {
    this.#timing = timing;
  }
  /** Another leads, and it was heard: no timer is moved, messages may come by the thousand. */
  heardLeader(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }

  #arm(ticks: number, waitMs: number): void {
    this.#timer?.cancel();
    this.#ticks = ticks;
    this.#armedMs = this.#clock.monotonicMs();
    const dueMs = this.#armedMs + waitMs;
    this.#timer = this.#clock.setTimer(waitMs, () => this.#due(dueMs));
  }

  #phaseMs(): number {
    return this.#random.below(Math.ceil(this.#timing.tickMs));
  }

  #due(dueMs: number): void {
    const { tickMs, pauseMs } = this.#timing;
    const nowMs = this.#clock.monotonicMs();
    const ticks = this.#ticks;
    const silentUntilMs = this.#heardMs + ELECTION_TICKS * tickMs;
    const isHeard = this.#heardMs >= this.#armedMs && silentUntilMs > nowMs;
    if (isHeard) this.#arm(ELECTION_TICKS, silentUntilMs + this.#phaseMs() - nowMs);
    else this.#arm(1, tickMs);
    if (nowMs - dueMs > pauseMs) this.#owner.paused(nowMs - dueMs);
    if (isHeard) return;
    // A tick may change who leads, and with it what the timer stands for: the others are void then.
    const timer = this.#timer;
    for (let i = 0; i < ticks && this.#timer === timer; i++) this.#owner.tick();
  }
}
