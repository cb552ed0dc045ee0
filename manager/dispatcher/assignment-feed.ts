import { type Hello, Position } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { Slices } from '../../shared/slices.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { AppliedEntry, Store, View } from '../store/view.ts';
import { AssignmentRows } from './assignment-rows.ts';
import { DrainTracker } from './drain-tracker.ts';
import type { Session } from './session.ts';

/** Under load changes for agents are gathered for this long. */
const GATHER_MS = 20;

export interface AssignmentFeedDeps {
  readonly store: Store;
  readonly clock: Clock;
  /** Those that are greeted, by node. */
  readonly sessions: ReadonlyMap<string, Session>;
  /** Every ready node has taken these tasks out of its load balancing. */
  onDrainAcknowledged(taskIds: readonly string[]): void;
  /** Everybody was brought to the present index. */
  onFlushed(): void;
}

/** Brings every session to the state of the tables, and knows how far each has come. */
export class AssignmentFeed {
  readonly #deps: AssignmentFeedDeps;
  readonly #rows = new AssignmentRows();
  readonly #drains = new DrainTracker();
  /** Undefined: this manager does not lead. */
  #term: number | undefined;
  #lastFlushMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  /** Before it is over the rows are not what agents are to have: nobody is greeted, nothing sent. */
  #rebuild: Slices | undefined;

  constructor(deps: AssignmentFeedDeps) {
    this.#deps = deps;
  }
  start(term: number): void {
    this.#term = term;
    this.reset();
  }
  stop(): void {
    this.#term = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#rebuild?.cancel();
  }
  /** Resolves when the rows are those of the tables, or this manager leads no more. */
  get ready(): Promise<void> {
    return this.#rebuild?.ended ?? Promise.resolve();
  }
  /** The tables are others now: every session gets all of them. */
  reset(): void {
    const { clock, store, sessions } = this.#deps;
    for (const session of sessions.values()) session.forgetSent();
    this.#rebuild?.cancel();
    this.#rebuild = new Slices(clock, this.#wholeState(store.view), () => {
      if (sessions.size > 0) this.schedule();
    });
  }
  *#wholeState(view: View): Generator<void, void> {
    yield* this.#rows.rebuild(view);
    yield* this.#drains.rebuild(view);
  }
  observe(entry: AppliedEntry): void {
    this.#rows.observe(this.#deps.store.view, entry);
    this.#drains.observe(entry);
    this.schedule();
  }
  /** At once when idle; under load what happens within 20 ms goes together. */
  schedule(): void {
    if (this.#timer !== undefined || this.#term === undefined) return;
    const sinceMs = this.#deps.clock.monotonicMs() - this.#lastFlushMs;
    this.#timer = this.#deps.clock.setTimer(Math.max(0, GATHER_MS - sinceMs), () => {
      this.#timer = undefined;
      if (this.#rebuild?.isOver !== false) this.flush();
    });
  }
  /** Everybody is at one index afterwards. */
  flush(): void {
    const { store, clock, sessions } = this.#deps;
    const { view } = store;
    this.#lastFlushMs = clock.monotonicMs();
    const changes = this.#rows.take(view);
    const to = this.#position(view);
    for (const session of sessions.values()) session.update(this.#rows, view, to, changes);
    this.checkDrains();
    this.#deps.onFlushed();
  }
  /** True: the agent has exactly the state of the last `flush`, as it says itself. */
  resume(session: Session, { position, digest }: Hello): boolean {
    const { view } = this.#deps.store;
    if (position === null || position.epoch !== this.#position(view).epoch) return false;
    return session.resume(position, digest, this.#rows, view);
  }
  sendAll(session: Session): void {
    const { view } = this.#deps.store;
    session.sendAll(this.#rows, view, this.#position(view));
  }
  /** Called when a node has acknowledged more. */
  checkDrains(): void {
    const { store, sessions } = this.#deps;
    const acknowledged = (nodeId: string) => sessions.get(nodeId)?.acknowledgedIndex;
    const done = this.#drains.take(store.view, acknowledged);
    if (done.length > 0) this.#deps.onDrainAcknowledged(done);
  }
  #position(view: View): Position {
    const epoch = view.table('clusterSecrets').get(CLUSTER_KEY)?.epoch ?? 0;
    return Position.create({ epoch, term: this.#term ?? 0, index: view.index });
  }
}
