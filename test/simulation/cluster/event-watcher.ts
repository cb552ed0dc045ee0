import { Events } from '../../../manager/control/events.ts';
import { FreshReads } from '../../../manager/control/freshness.ts';
import { EventsRequest, Freshness } from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Random } from '../../../shared/random.ts';
import type { CallContext } from '../../../shared/rpc/rpc.ts';
import type { Machine, World } from './machine.ts';
import type { ManagerProcess } from './manager-process.ts';

/** Without a leader for so long, a manager says that it cannot tell. */
const LEADERLESS_MS = 2_000;

/**
 * Follows the cluster's events with a cursor, now at one manager, now at another: whatever happens
 * to them, it sees every request that was carried out once, in order.
 */
export class EventWatcher {
  readonly #world: World;
  readonly #machines: readonly Machine[];
  readonly #random: Random;
  #epoch = 0;
  #cursor = '';
  /** How many of `Answers.order` were seen. */
  #seen = 0;
  #stopped = false;

  constructor(world: World, machines: readonly Machine[]) {
    this.#world = world;
    this.#machines = machines;
    this.#random = world.random.stream('events');
  }

  start(): void {
    void this.#run();
  }
  stop(): void {
    this.#stopped = true;
  }
  /** Everything that was carried out so far, it has seen. */
  get isCurrent(): boolean {
    return this.#seen >= this.#world.checker.answers.order.length - 20;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const process = this.#choose();
      if (process) await this.#follow(process, 500 + this.#random.below(4_000));
      await new Promise<void>((resolve) => this.#world.timeline.after(100, resolve));
    }
  }

  /** Nobody who still lives in an epoch that has ended. */
  #choose(): ManagerProcess | undefined {
    const up = this.#machines.flatMap(({ isUp, process }) => (isUp && process ? [process] : []));
    const epochs = up.map((process) => process.driver.identity.epoch);
    this.#epoch = Math.max(this.#epoch, ...epochs);
    const current = up.filter((process) => process.driver.identity.epoch === this.#epoch);
    return current[this.#random.below(Math.max(1, current.length))];
  }

  /** Until the time is over or the manager is gone. */
  async #follow(process: ManagerProcess, forMs: number): Promise<void> {
    const { store, clock, driver } = process;
    const linearize = () => driver.readIndex().then(() => Freshness.create());
    const reads = new FreshReads({
      store,
      clock,
      reads: { linearize, leaderlessMs: () => LEADERLESS_MS, hearsLeader: () => false },
    });
    const abort = new AbortController();
    const context = { consistency: 'linearizable', signal: abort.signal } as CallContext;
    const request = EventsRequest.create({ cursor: this.#cursor, follow: true });
    const stream = new Events({ store }, reads).stream(request, context);
    await new Promise<void>((resolve) => {
      const end = (): void => {
        process.callers.delete(end);
        abort.abort();
        resolve();
      };
      process.callers.add(end);
      this.#world.timeline.after(forMs, end);
      void this.#read(stream, abort.signal).then(end);
    });
  }

  async #read(stream: ReturnType<Events['stream']>, over: AbortSignal): Promise<void> {
    try {
      for await (const { cursor, event } of stream) {
        if (over.aborted) return;
        this.#cursor = cursor;
        if (event?.action === 'token') this.#take(event.name);
      }
    } catch (error) {
      if (over.aborted) return;
      // A manager that has just joined and has no state yet: another one is asked.
      if (SwarmError.is(error) && error.code === 'NO_QUORUM') return;
      if (!SwarmError.is(error) || error.code !== 'EXPIRED') throw error;
      // Another epoch: what the cursor named may never have happened.
      this.#cursor = '';
      this.#seen = 0;
      this.#world.counters.count('event cursor expired');
    }
  }

  #take(token: string): void {
    const { answers } = this.#world.checker;
    if (answers.isUnsure && !answers.wasDone(token)) return;
    const expected = answers.order[this.#seen++]?.token;
    if (token !== expected) this.#world.checker.fail(`event ${token} came instead of ${expected}`);
  }
}
