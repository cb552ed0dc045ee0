import { Liveness, NodeStatus } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { Draft, Store } from '../store/view.ts';
import { type Graces, type Heard, judgeLiveness, livenessText } from './liveness.ts';

const TICK_MS = 250;
/** A tick this late means that the leader itself did not listen: nobody's silence counts. */
const LATE_MS = 500;
/** A new leader begins to count when no agent has come for this long. */
const SETTLE_MS = 500;

export interface LivenessDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  /** A node has just been taken for down; it was heard last at `heardMs` of the clock. */
  readonly onDown: (nodeId: string, heardMs: number) => void;
}

/** Counts every node's silence while this manager leads, and commits what follows from it. */
export class LivenessClocks {
  readonly #deps: LivenessDeps;
  readonly #heard = new Map<string, Heard>();
  readonly #writing = new Map<string, Liveness>();
  #timer: Timer | undefined;
  #lastTickMs = 0;
  #startedMs = 0;
  #lastArrivalMs = 0;
  #settling = true;

  constructor(deps: LivenessDeps) {
    this.#deps = deps;
  }

  start(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#startedMs = nowMs;
    this.#lastArrivalMs = nowMs;
    this.#lastTickMs = nowMs;
    this.#settling = true;
    for (const row of this.#deps.store.view.table('nodeStatus').all()) this.#inherit(row, nowMs);
    this.#schedule();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#heard.clear();
    this.#writing.clear();
  }

  /** A session began. Its row says READY from the hello on; see `nodeStatusAtHello`. */
  arrived(nodeId: string): void {
    const nowMs = this.#deps.clock.monotonicMs();
    this.#lastArrivalMs = nowMs;
    this.#heard.set(nodeId, alive(nowMs));
  }

  /** A message came. */
  heard(nodeId: string): void {
    const known = this.#heard.get(nodeId);
    if (known === undefined) return;
    this.#heard.set(nodeId, { ...known, heardMs: this.#deps.clock.monotonicMs() });
  }

  said(nodeId: string, goodbye: Liveness): void {
    const known = this.#heard.get(nodeId);
    if (known === undefined) return;
    const nowMs = this.#deps.clock.monotonicMs();
    this.#heard.set(nodeId, { ...known, goodbye, goodbyeMs: nowMs, heardMs: nowMs });
    this.#judge();
  }

  /** The session ended. `reset`: the connection was cut rather than closed. */
  lost(nodeId: string, reset: boolean): void {
    const known = this.#heard.get(nodeId);
    if (known === undefined) return;
    this.#heard.set(nodeId, { ...known, connected: false, reset });
    this.#judge();
  }

  forget(nodeId: string): void {
    this.#heard.delete(nodeId);
  }

  #inherit(row: NodeStatus, nowMs: number): void {
    if (row.liveness === Liveness.DOWN || row.liveness === Liveness.UNKNOWN) return;
    const saidGoodbye =
      row.liveness === Liveness.RESTARTING || row.liveness === Liveness.LEAVING
        ? row.liveness
        : undefined;
    const agoMs = Math.max(0, this.#deps.store.nowMs() - row.sinceMs);
    this.#heard.set(row.id, {
      heardMs: nowMs,
      connected: saidGoodbye === Liveness.LEAVING,
      reset: false,
      goodbye: saidGoodbye,
      goodbyeMs: nowMs - agoMs,
    });
  }

  #schedule(): void {
    this.#timer = this.#deps.clock.setTimer(TICK_MS, () => {
      this.#tick();
      this.#schedule();
    });
  }

  #tick(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const lateMs = nowMs - this.#lastTickMs - TICK_MS;
    this.#lastTickMs = nowMs;
    if (this.#settling) this.#settle(nowMs);
    else if (lateMs > LATE_MS) this.#shift(lateMs);
    this.#judge();
  }

  /** Silence does not count yet: agents are still on their way to this new leader. */
  #settle(nowMs: number): void {
    for (const [id, heard] of this.#heard) {
      if (heard.connected && heard.goodbye === undefined) continue;
      const left = heard.goodbye === Liveness.LEAVING && heard.connected;
      this.#heard.set(id, { ...heard, heardMs: nowMs, connected: left });
    }
    const quietMs = nowMs - this.#lastArrivalMs;
    const { nodeGraceMs } = this.#graces();
    if (quietMs < SETTLE_MS && nowMs - this.#startedMs < nodeGraceMs) return;
    this.#settling = false;
    for (const [id, heard] of this.#heard) {
      // A host that was shutting down and has not come to this leader is gone.
      if (heard.goodbye === Liveness.LEAVING) this.#heard.set(id, { ...heard, connected: false });
    }
  }

  #shift(lateMs: number): void {
    this.#deps.log.warn({ lateMs: Math.round(lateMs) }, 'this manager stood still: silence waits');
    for (const [id, heard] of this.#heard) {
      const { heardMs, goodbyeMs } = heard;
      this.#heard.set(id, { ...heard, heardMs: heardMs + lateMs, goodbyeMs: goodbyeMs + lateMs });
    }
  }

  #judge(): void {
    if (this.#timer === undefined) return;
    const { store, clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    const graces = this.#graces();
    const changes = new Map<string, { liveness: Liveness; message: string }>();
    for (const [id, heard] of this.#heard) {
      const row = store.view.table('nodeStatus').get(id);
      if (row === undefined) continue;
      const liveness = judgeLiveness(heard, graces, nowMs);
      if (liveness === row.liveness || this.#writing.get(id) === liveness) continue;
      changes.set(id, { liveness, message: livenessText(liveness, heard, nowMs) });
    }
    if (changes.size === 0) return;
    void this.#commit(changes);
    // Last: sessions that end for it come back here, and find what is being written.
    for (const [id, { liveness }] of changes) {
      const heardMs = this.#heard.get(id)?.heardMs;
      if (liveness === Liveness.DOWN && heardMs !== undefined) this.#deps.onDown(id, heardMs);
    }
  }

  async #commit(changes: Map<string, { liveness: Liveness; message: string }>): Promise<void> {
    for (const [id, { liveness }] of changes) this.#writing.set(id, liveness);
    try {
      await this.#deps.store.update(
        (draft) => {
          for (const [id, { liveness, message }] of changes)
            putLiveness(draft, id, liveness, message);
        },
        { writer: 'status' },
      );
    } catch (error) {
      // The next tick finds the difference again.
      this.#deps.log.warn({ error: messageOf(error) }, 'liveness was not committed');
    } finally {
      for (const [id, { liveness }] of changes) {
        if (this.#writing.get(id) === liveness) this.#writing.delete(id);
      }
    }
  }

  #graces(): Graces {
    const spec = this.#deps.store.view.table('cluster').get(CLUSTER_KEY)?.spec;
    return {
      nodeGraceMs: spec?.nodeGraceMs || DEFAULTS.nodeGraceMs,
      restartGraceMs: spec?.restartGraceMs || DEFAULTS.restartGraceMs,
    };
  }
}

function alive(nowMs: number): Heard {
  return { heardMs: nowMs, connected: true, reset: false, goodbye: undefined, goodbyeMs: 0 };
}

const WORDS: { readonly [K in Liveness]: string } = {
  [Liveness.UNKNOWN]: 'unknown',
  [Liveness.READY]: 'ready',
  [Liveness.SUSPECT]: 'suspect',
  [Liveness.DOWN]: 'down',
  [Liveness.RESTARTING]: 'restarting',
  [Liveness.LEAVING]: 'leaving',
};

/** Writes a node's liveness with the time of the change, and says so in the events. */
export function putLiveness(
  draft: Draft,
  id: string,
  liveness: Liveness,
  message: string,
  patch: Partial<NodeStatus> = {},
): void {
  const row = draft.table('nodeStatus').get(id);
  const node = draft.table('node').get(id);
  if (row === undefined || node === undefined) return;
  if (row.liveness === liveness) {
    if (Object.keys(patch).length > 0) draft.put('nodeStatus', NodeStatus.with(row, patch));
    return;
  }
  draft.put(
    'nodeStatus',
    NodeStatus.with(row, {
      ...patch,
      liveness,
      message,
      sinceMs: draft.timeMs,
      sinceWallMs: draft.wallMs,
    }),
  );
  const text = message === '' ? WORDS[liveness] : `${WORDS[liveness]}: ${message}`;
  draft.emit({ kind: 'node', action: 'state', id, name: node.name, message: text });
}
