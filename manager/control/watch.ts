import { ServiceProgress, type Task, type WatchServiceRequest } from '../../proto/index.ts';
import { type Clock, delay, type Timer } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { CallContext } from '../../shared/rpc/rpc.ts';
import type { AppliedEntry, Store } from '../store/view.ts';
import type { ControlDeps } from './deps.ts';
import type { FreshReads } from './freshness.ts';
import { progressOf } from './progress.ts';
import { resolveService } from './resolve.ts';
import { Wakeup } from './wakeup.ts';

/** What the command line shows while it waits: pushed at every change, at most every 50 ms. */
export class Watch {
  readonly #deps: ControlDeps;
  readonly #reads: FreshReads;

  constructor(deps: ControlDeps, reads: FreshReads) {
    this.#deps = deps;
    this.#reads = reads;
  }

  /** Ends when the service is gone, or the caller. */
  async *stream(
    request: WatchServiceRequest,
    context: CallContext,
  ): AsyncIterable<ServiceProgress> {
    const { store, clock, dispatcher } = this.#deps;
    await this.#reads.before(context.consistency);
    const id = this.#idOf(request);
    const wakeup = new Wakeup(context.signal);
    let isBehind = false;
    const closers = [
      store.onApplied((entry) => {
        if (touches(store, entry, id)) wakeup.wake();
      }),
      store.onReload(() => wakeup.wake()),
      dispatcher.onSettled(() => {
        if (isBehind) wakeup.wake();
      }),
    ];
    try {
      let before = '';
      while (!context.signal.aborted) {
        const progress = this.#progress(id, request);
        const now = Buffer.from(ServiceProgress.encode(progress)).toString('latin1');
        // Set before the caller is waited for: what settles meanwhile wakes the next round.
        isBehind = progress.behind.length > 0;
        if (now !== before) yield progress;
        if (progress.removed) return;
        before = now;
        const settled = settleTimer(clock, progress.settleLeftMs, wakeup);
        const shownMs = clock.monotonicMs();
        await wakeup.wait();
        settled?.cancel();
        const tooSoonMs = LIMITS.watchSpacingMs - (clock.monotonicMs() - shownMs);
        if (tooSoonMs > 0 && !context.signal.aborted) await delay(clock, tooSoonMs);
      }
    } finally {
      for (const close of closers) close();
      wakeup.close();
    }
  }

  /** A removal may be over before the watch begins: then the id alone is known. */
  #idOf(request: WatchServiceRequest): string {
    const { view } = this.#deps.store;
    return request.removal ? request.id : resolveService(view, request.id).id;
  }

  #progress(id: string, request: WatchServiceRequest): ServiceProgress {
    const { view } = this.#deps.store;
    const service = view.table('service').get(id);
    if (service === undefined) return ServiceProgress.create({ removed: true });
    const settleMs = Math.min(request.settleMs, LIMITS.settleMaxMs);
    const awaited = { version: request.version, settleMs, nowMs: this.#deps.store.nowMs() };
    return progressOf(view, service, awaited, this.#deps.dispatcher);
  }
}

/** Time alone makes a service converge that has only to stay up. */
function settleTimer(clock: Clock, leftMs: number, wakeup: Wakeup): Timer | undefined {
  return leftMs > 0 ? clock.setTimer(leftMs, () => wakeup.wake()) : undefined;
}

function touches(store: Store, entry: AppliedEntry, serviceId: string): boolean {
  return entry.changes.some(({ table, id, before, after }) => {
    switch (table) {
      case 'service':
      case 'serviceState':
        return id === serviceId;
      case 'task':
        return ((after ?? before) as Task | undefined)?.serviceId === serviceId;
      case 'taskStatus':
        return store.view.table('task').get(id)?.serviceId === serviceId;
      default:
        return table === 'nodeStatus';
    }
  });
}
