import {
  type Event,
  EventItem,
  type EventRow,
  type EventsRequest,
  type Filter,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import { eventKey } from '../store/apply.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { AppliedEntry, View } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import { compileFilters, type FilterTable } from './filters.ts';
import type { FreshReads } from './freshness.ts';
import { Wakeup } from './wakeup.ts';

interface Position {
  readonly index: number;
  /** Events of that entry that were seen. */
  readonly seen: number;
}

/**
 * What happened, in order. A cursor is "epoch.index.ordinal" and holds on every manager; `now`
 * begins with what comes next; empty: with the oldest that is kept.
 */
export class Events {
  readonly #deps: Pick<ControlDeps, 'store'>;
  readonly #reads: FreshReads;

  constructor(deps: Pick<ControlDeps, 'store'>, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  async *stream(request: EventsRequest, context: CallContext): AsyncIterable<EventItem> {
    const passes = compileFilters(request.filters.map(canonicalFilter), FILTERS);
    const news = new News(this.#deps, context.signal);
    try {
      await this.#reads.before(context.consistency);
      const { view } = this.#deps.store;
      const epoch = epochOf(view);
      let at = startOf(view, request.cursor, epoch);
      for (let rows = news.catchUp(view, at.index); ; rows = await news.next(at.index)) {
        for (const row of rows) {
          for (const [ordinal, event] of row.events.entries()) {
            if (row.version === at.index && ordinal < at.seen) continue;
            if (passes(event)) yield itemOf(epoch, row.version, ordinal, event);
          }
          at = { index: row.version, seen: row.events.length };
        }
        if (!request.follow || context.signal.aborted) return;
      }
    } finally {
      news.close();
    }
  }
}

/**
 * Rows of events since a position. A reader that is slower than the cluster makes no queue grow:
 * past the limit the rows are read from the table again.
 */
class News {
  readonly #deps: Pick<ControlDeps, 'store'>;
  readonly #wakeup: Wakeup;
  readonly #closers: (() => void)[];
  #rows: EventRow[] = [];
  #overflown = false;

  constructor(deps: Pick<ControlDeps, 'store'>, signal: AbortSignal) {
    this.#deps = deps;
    this.#wakeup = new Wakeup(signal);
    this.#closers = [
      deps.store.onApplied((entry) => this.#take(entry)),
      deps.store.onReload(() => this.#overflow()),
    ];
  }

  /** All rows from `index` on that are kept, oldest first. */
  catchUp(view: View, index: number): EventRow[] {
    this.#rows = [];
    this.#overflown = false;
    const rows = [...view.table('event').all()].filter((row) => row.version >= index);
    return rows.sort((a, b) => a.version - b.version);
  }

  /** Waits for rows after `index`; none when the caller went away. */
  async next(index: number): Promise<EventRow[]> {
    if (this.#rows.length === 0 && !this.#overflown) await this.#wakeup.wait();
    if (this.#overflown) return this.catchUp(this.#deps.store.view, index);
    const rows = this.#rows.filter((row) => row.version > index);
    this.#rows = [];
    return rows;
  }

  close(): void {
    for (const close of this.#closers) close();
    this.#wakeup.close();
  }

  #take(entry: AppliedEntry): void {
    for (const change of entry.changes) {
      if (change.table !== 'event' || change.after === undefined) continue;
      this.#rows.push(change.after as EventRow);
      this.#wakeup.wake();
    }
    if (this.#rows.length > LIMITS.eventQueueMax) this.#overflow();
  }

  #overflow(): void {
    this.#rows = [];
    this.#overflown = true;
    this.#wakeup.wake();
  }
}

const FILTERS: FilterTable<Event> = {
  type: (event, value) => event.kind === value,
  event: (event, value) => event.action === value,
  id: (event, value) => event.id.startsWith(value),
  name: (event, value) => event.name === value,
  service: (event, value) => isAbout(event, 'service', value),
  node: (event, value) => isAbout(event, 'node', value),
  network: (event, value) => isAbout(event, 'network', value),
  task: (event, value) => isAbout(event, 'task', value),
};

/** The object itself, or something that names it in its attributes (a task its service). */
function isAbout(event: Event, kind: string, value: string): boolean {
  const named = event.attributes[kind] === value || event.attributes[`${kind}.id`] === value;
  return named || (event.kind === kind && (event.name === value || event.id.startsWith(value)));
}

function canonicalFilter(filter: Filter): { key: string; value: string } {
  const names: { readonly [key: string]: string } = { kind: 'type', action: 'event' };
  return { key: names[filter.key] ?? filter.key, value: filter.value };
}

function epochOf(view: View): number {
  return view.table('clusterSecrets').get(CLUSTER_KEY)?.epoch ?? 0;
}

/** Throws EXPIRED when events after the cursor are gone, INVALID_ARGUMENT for what is none. */
function startOf(view: View, cursor: string, epoch: number): Position {
  if (cursor === '') return { index: 0, seen: 0 };
  if (cursor === 'now') return { index: view.index, seen: Number.MAX_SAFE_INTEGER };
  const parts = /^(\d{1,15})\.(\d{1,15})\.(\d{1,9})$/.exec(cursor);
  if (parts === null)
    throw new SwarmError('INVALID_ARGUMENT', `"${cursor.slice(0, 50)}" is no cursor of events`);
  const [ofEpoch, index, ordinal] = parts.slice(1).map(Number) as [number, number, number];
  // A cursor names an event; its row is there for as long as nothing after it was let go. A manager
  // that is behind does not have it yet.
  const isKept = index > view.index || view.table('event').has(eventKey(index));
  const known = ofEpoch === epoch && isKept;
  if (!known)
    throw new SwarmError('EXPIRED', 'events after this cursor are no longer kept', {
      command: 'swarm events',
    });
  return { index, seen: ordinal + 1 };
}

function itemOf(epoch: number, index: number, ordinal: number, event: Event): EventItem {
  return EventItem.with(EventItem.create({ cursor: `${epoch}.${index}.${ordinal}` }), { event });
}
