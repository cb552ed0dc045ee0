import { assert } from '../../shared/assert.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import type { Log } from '../../shared/log.ts';
import { Slices } from '../../shared/slices.ts';
import { slotKey } from '../store/schema.ts';
import type { AppliedEntry, Store } from '../store/view.ts';
import { AddressIndex } from './addressing/address-index.ts';
import { Dirty } from './dirty.ts';
import { type Derived, mark, markAll } from './marks.ts';
import { NodeIndex } from './node-index.ts';
import { runTurn } from './run-turn.ts';
import { FittingNodes } from './scheduler/filters.ts';
import { Specs } from './specs.ts';
import { PoisonedService, type TurnInput, type TurnResult } from './turn.ts';
import { Wakes } from './wakes.ts';

export interface LoopDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** After every turn that was not written, what was derived is compared with a rebuild. */
  readonly debug?: boolean;
}

/** After a turn that was not written (no quorum, overload) the next one waits this long. */
const RETRY_MS = 100;

/**
 * The control loop: while this manager leads, it makes what is follow what is wished. It acts only
 * on what changed, in turns of one log entry each, and sleeps when nothing is to be done.
 */
export class Loop {
  readonly name = 'loop';
  readonly #deps: LoopDeps;
  readonly #log: Log;
  readonly #derived: Derived;
  readonly #fitting: FittingNodes;
  readonly #wakes = new Wakes();
  #dirty = new Dirty();
  readonly #acknowledged = new Set<string>();
  readonly #poisoned = new Map<string, string>();
  /** Undefined: this manager does not lead. */
  #term: number | undefined;
  /** While all rows are being looked at: what is applied meanwhile, in order. */
  #missed: AppliedEntry[] | undefined;
  #slices: Slices | undefined;
  #turnInFlight = false;
  /** The last turn was not written: the next one waits for the timer. */
  #retrying = false;
  #timer: Timer | undefined;
  #unsubscribe: (() => void)[] = [];

  constructor(deps: LoopDeps) {
    this.#deps = deps;
    this.#log = deps.log.child({ part: 'loop' });
    const specs = new Specs();
    const index = new NodeIndex(specs);
    const addresses = new AddressIndex();
    this.#derived = { specs, index, addresses, globalServices: new Set() };
    this.#fitting = new FittingNodes(index);
  }

  /** Begins to lead in `term`: looks at everything once. */
  start(term: number): void {
    this.stop();
    this.#term = term;
    const { store } = this.#deps;
    this.#unsubscribe = [
      store.onApplied((entry) => this.#applied(entry)),
      store.onReload(() => this.#markAll()),
    ];
    this.#markAll();
  }

  /** Safe to call twice. A turn in flight is fenced by its term. */
  stop(): void {
    this.#term = undefined;
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#unsubscribe = [];
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#slices?.cancel();
    this.#missed = undefined;
    this.#retrying = false;
    this.#wakes.clear();
    this.#dirty = new Dirty();
    this.#acknowledged.clear();
    this.#poisoned.clear();
  }

  /**
   * All ready nodes have taken these draining tasks out of their load balancing: they may be
   * stopped now. Without this they are when their deadline passes.
   */
  drainAcknowledged(taskIds: readonly string[]): void {
    if (this.#term === undefined) return;
    for (const id of taskIds) {
      const task = this.#deps.store.view.table('task').get(id);
      if (task?.draining !== true) continue;
      this.#acknowledged.add(id);
      this.#dirty.slots.add(slotKey(task));
    }
    this.#schedule();
  }

  /** Where what was derived from the rows differs from what a rebuild gives: nowhere, unless wrong. */
  derivedDifferences(): string[] {
    const rebuilt = new Set(AddressIndex.of(this.#deps.store.view).describe());
    const derived = new Set(this.#derived.addresses.describe());
    return [
      ...[...derived].filter((line) => !rebuilt.has(line)).map((line) => `derived: ${line}`),
      ...[...rebuilt].filter((line) => !derived.has(line)).map((line) => `rebuilt: ${line}`),
    ];
  }

  /** What nodes have left, as applied; undefined while this manager does not lead or still looks. */
  get nodeIndex(): NodeIndex | undefined {
    const isWhole = this.#term !== undefined && this.#missed === undefined;
    return isWhole ? this.#derived.index : undefined;
  }

  /** True when nothing is to be done before the next due moment. */
  get isIdle(): boolean {
    if (this.#turnInFlight || this.#missed !== undefined) return false;
    return this.#dirty.isEmpty || this.#retrying;
  }

  /** Looks at every row. With a million tasks that takes seconds, in which others have to be heard. */
  #markAll(): void {
    const { clock, store } = this.#deps;
    this.#wakes.clear();
    this.#slices?.cancel();
    this.#missed = [];
    const work = markAll(store.view, this.#derived, this.#dirty);
    this.#slices = new Slices(clock, work, () => {
      const missed = this.#missed ?? [];
      this.#missed = undefined;
      for (const entry of missed) mark(store.view, entry, this.#derived, this.#dirty);
      this.#schedule();
    });
  }

  #applied(entry: AppliedEntry): void {
    if (this.#missed !== undefined) {
      this.#missed.push(entry);
      return;
    }
    mark(this.#deps.store.view, entry, this.#derived, this.#dirty);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#term === undefined || this.#missed !== undefined) return;
    if (this.#turnInFlight || this.#retrying) return;
    if (this.#dirty.isEmpty) this.#setTimer();
    else void this.#turn(this.#term);
  }

  async #turn(term: number): Promise<void> {
    const taken = this.#dirty;
    this.#dirty = new Dirty();
    this.#turnInFlight = true;
    const acknowledged = new Set(this.#acknowledged);
    let retryMs = 0;
    try {
      const result = await this.#write(taken, acknowledged);
      if (this.#term === term) this.#settle(result, acknowledged);
    } catch (error) {
      if (this.#term === term) {
        taken.add(this.#dirty);
        this.#dirty = taken;
        retryMs = this.#afterFailure(error);
        if (this.#deps.debug) this.#checkDerived();
      }
    }
    this.#turnInFlight = false;
    this.#retrying = retryMs > 0;
    if (this.#retrying) this.#arm(retryMs);
    else this.#schedule();
  }

  #settle(result: TurnResult, acknowledged: ReadonlySet<string>): void {
    // What was left comes first: nothing starves behind what is new.
    result.left.add(this.#dirty);
    this.#dirty = result.left;
    for (const [key, atMs] of result.wakes) this.#wakes.set(key, atMs);
    for (const id of acknowledged) this.#acknowledged.delete(id);
    this.#poisoned.clear();
  }

  #write(dirty: Dirty, acknowledged: ReadonlySet<string>): Promise<TurnResult> {
    const { clock, store } = this.#deps;
    const poisoned = new Map(this.#poisoned);
    return store.update(
      (draft) => {
        const startMs = clock.monotonicMs();
        const input: TurnInput = {
          ...this.#derived,
          dirty,
          acknowledged,
          poisoned,
          elapsedMs: () => clock.monotonicMs() - startMs,
        };
        return runTurn(draft, input, this.#fitting);
      },
      { writer: 'loop' },
    );
  }

  /** How long to wait before the turn is done again. */
  #afterFailure(error: unknown): number {
    if (error instanceof PoisonedService) {
      this.#poisoned.set(error.serviceId, error.message || 'unknown error');
      this.#log.error({ err: error.cause, service: error.serviceId }, 'a service is set aside');
      return 0;
    }
    const known = SwarmError.is(error);
    this.#log[known ? 'warn' : 'error']({ err: messageOf(error) }, 'a turn was not written');
    return RETRY_MS;
  }

  #checkDerived(): void {
    const differences = this.derivedDifferences();
    assert(differences.length === 0, `a failed turn left: ${differences.join('; ')}`);
  }

  #setTimer(): void {
    const dueMs = this.#wakes.nextMs();
    this.#timer?.cancel();
    this.#timer = undefined;
    if (dueMs !== undefined) this.#arm(Math.max(1, dueMs - this.#deps.store.nowMs()));
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#deps.clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#retrying = false;
      this.#wakes.takeDue(this.#deps.store.nowMs(), this.#dirty);
      this.#schedule();
    });
  }
}
