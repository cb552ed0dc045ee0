import type { AnswerRow } from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { IdSource } from '../../shared/ids.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { Slices } from '../../shared/slices.ts';
import type {
  LeadershipListener,
  Proposer,
  RowChange,
  RowSlices,
  StateMachine,
} from '../replication.ts';
import { applyEntry, type DraftRows, ENTRY_FORMAT, storedRow } from './apply.ts';
import { GroupDraft } from './draft.ts';
import { loadTables } from './load.ts';
import { UpdateQueue, type Waiting } from './queue.ts';
import { Retention } from './retention.ts';
import type { TableName } from './schema.ts';
import { Tables } from './tables.ts';
import type { AppliedEntry, Draft, Store, UpdateOptions, View } from './view.ts';

export interface StoreDeps {
  readonly clock: Clock;
  readonly ids: IdSource;
  readonly log: Log;
  readonly proposer: Proposer;
  /** host:port of the leader, for callers that came to the wrong manager. */
  readonly leaderAddress: () => string | undefined;
}

interface Group {
  readonly term: number;
  readonly bytes: Uint8Array;
  readonly members: readonly Answered[];
  readonly rows: DraftRows;
}
interface Answered {
  readonly waiting: Waiting;
  readonly value?: unknown;
  readonly error?: unknown;
}

/**
 * The state of the cluster and the one writer of the log. Waiting functions run one after the other
 * on one draft and are committed as one entry; one group is in flight, the next starts on the state
 * that it leaves. Answers, errors included, go out when the group is applied, and share its fate.
 */
export class ReplicatedStore implements Store, StateMachine, LeadershipListener {
  readonly #deps: StoreDeps;
  readonly #queue = new UpdateQueue();
  readonly #appliedListeners = new Set<(entry: AppliedEntry) => void>();
  readonly #reloadListeners = new Set<() => void>();
  #retention = new Retention();
  #tables = new Tables();
  /** Set while this member leads; drafts belong to it. */
  #term: number | undefined;
  /** Cluster time at `#clockAtMs` of our own clock. */
  #timeBaseMs = 0;
  #clockAtMs = 0;
  #inFlight: Group | undefined;
  #scheduled = false;

  constructor(deps: StoreDeps) {
    this.#deps = deps;
  }

  get view(): View {
    return this.#tables;
  }
  get isLeader(): boolean {
    return this.#term !== undefined;
  }
  nowMs(): number {
    if (this.#term === undefined) return this.#tables.timeMs;
    const elapsedMs = this.#deps.clock.monotonicMs() - this.#clockAtMs;
    return Math.max(this.#tables.timeMs, Math.floor(this.#timeBaseMs + elapsedMs));
  }
  onApplied(fn: (entry: AppliedEntry) => void): () => void {
    this.#appliedListeners.add(fn);
    return () => this.#appliedListeners.delete(fn);
  }
  onReload(fn: () => void): () => void {
    this.#reloadListeners.add(fn);
    return () => this.#reloadListeners.delete(fn);
  }

  update<R>(fn: (draft: Draft) => R, options: UpdateOptions): Promise<R> {
    if (this.#term === undefined) return Promise.reject(this.#notLeader());
    if (this.#queue.size >= LIMITS.updatesWaitingMax)
      return Promise.reject(new SwarmError('OVERLOADED', 'too many changes wait to be written'));
    return new Promise<R>((resolve, reject) => {
      const waiting: Waiting = {
        fn,
        options,
        resolve: resolve as (value: unknown) => void,
        reject,
        expired: false,
      };
      if (options.timeoutMs !== undefined) this.#expireAfter(waiting, options.timeoutMs);
      this.#queue.push(waiting);
      this.#schedule();
    });
  }

  // -- LeadershipListener

  gained(term: number): void {
    this.#term = term;
    this.#timeBaseMs = this.#tables.timeMs;
    this.#clockAtMs = this.#deps.clock.monotonicMs();
  }
  lost(): void {
    this.#term = undefined;
    for (const waiting of this.#queue.drain()) waiting.reject(this.#notLeader());
  }

  // -- StateMachine

  apply(index: number, term: number, bytes: Uint8Array): readonly RowChange[] {
    const group = this.#inFlight;
    const own = group !== undefined && group.bytes === bytes && group.term === term;
    const { entry, rows } = applyEntry(
      this.#tables,
      index,
      term,
      bytes,
      own ? group.rows : undefined,
    );
    this.#retention.observe(entry);
    for (const listener of this.#appliedListeners) listener(entry);
    return rows;
  }
  applied(): void {
    // Answers go out when `propose` resolves, which is after the rows were handed over.
  }
  stored(table: string, id: string): RowChange | undefined {
    return storedRow(this.#tables, table, id);
  }
  async load(index: number, _term: number, rows: RowSlices): Promise<void> {
    const tables = await loadTables(rows, this.#deps.clock);
    tables.index = Math.max(tables.index, index);
    const retention = new Retention();
    await new Slices(this.#deps.clock, retention.take(tables)).ended;
    this.#tables = tables;
    this.#retention = retention;
    for (const listener of this.#reloadListeners) listener();
  }

  // -- group commit

  /** An idle system commits at once; batching starts under load, while a group is in flight. */
  #schedule(): void {
    if (this.#scheduled || this.#inFlight !== undefined) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#inFlight === undefined && this.#queue.size > 0) this.#commitGroup();
    });
  }

  #commitGroup(): void {
    const term = this.#term;
    if (term === undefined) return;
    const draft = new GroupDraft(this.#tables, this.#deps.ids, {
      timeMs: this.nowMs(),
      wallMs: this.#deps.clock.wallMs(),
    });
    const members = this.#fill(draft);
    const usersWait = members.some((member) => member.waiting.options.writer === 'users');
    if (draft.isEmpty && !usersWait) {
      settle(members);
      if (this.#queue.size > 0) this.#schedule();
      return;
    }
    if (!draft.isEmpty) this.#retention.trim(draft, members.length);
    const group = { term, members, bytes: draft.encode(ENTRY_FORMAT), rows: rowsOf(draft) };
    this.#inFlight = group;
    void this.#deps.proposer.propose(group.bytes, term).then((result) => {
      this.#inFlight = undefined;
      if (result.kind === 'applied') settle(members);
      else refuse(members, result.kind === 'unknown' ? maybeDone() : this.#dropped(result.reason));
      if (this.#queue.size > 0) this.#schedule();
    });
  }

  /** Runs waiting functions until the group is full, 10 ms have gone, or nobody waits. */
  #fill(draft: GroupDraft): Answered[] {
    const members: Answered[] = [];
    const untilMs = this.#deps.clock.monotonicMs() + LIMITS.turnMs;
    for (;;) {
      const waiting = this.#queue.next(draft.groupBytes);
      if (waiting === undefined) break;
      if (waiting.expired) continue;
      const earlier = this.#earlierAnswer(draft, waiting);
      const member = earlier ?? this.#runOne(draft, waiting);
      if (draft.groupBytes > LIMITS.entryBytesMax && members.length > 0) {
        draft.rollback();
        this.#queue.unshift(waiting);
        break;
      }
      if (draft.groupBytes > LIMITS.entryBytesHardMax) {
        draft.rollback();
        members.push({ waiting, error: tooLarge() });
        continue;
      }
      draft.keep();
      members.push(member);
      if (this.#deps.clock.monotonicMs() > untilMs) break;
    }
    return members;
  }

  #runOne(draft: GroupDraft, waiting: Waiting): Answered {
    try {
      const value = draft.run(waiting.options.writer, waiting.fn);
      const { requestId } = waiting.options;
      if (requestId !== undefined && requestId !== '')
        this.#retention.answer(draft, requestId, value);
      return { waiting, value };
    } catch (error) {
      // Also where it was the answer that could not be stored: who is told of an error finds nothing.
      draft.rollback();
      if (!SwarmError.is(error)) this.#deps.log.error({ err: error }, 'an update threw');
      return { waiting, error };
    }
  }

  #earlierAnswer(draft: GroupDraft, waiting: Waiting): Answered | undefined {
    const { requestId } = waiting.options;
    if (requestId === undefined || requestId === '') return undefined;
    const row = draft.table('answer').get(requestId);
    return row === undefined ? undefined : { waiting, value: answerOf(row) };
  }

  #expireAfter(waiting: Waiting, timeoutMs: number): void {
    const timer = this.#deps.clock.setTimer(timeoutMs, () => {
      waiting.expired = true;
      waiting.reject(
        new SwarmError('DEADLINE', `not written within ${timeoutMs} ms: it may have been done`),
      );
    });
    const { resolve, reject } = waiting;
    waiting.resolve = (value) => {
      timer.cancel();
      resolve(value);
    };
    waiting.reject = (error) => {
      timer.cancel();
      reject(error);
    };
  }

  #notLeader(): SwarmError {
    const leader = this.#deps.leaderAddress() ?? '';
    return new SwarmError('NOT_LEADER', 'this manager does not lead', { details: { leader } });
  }
  #dropped(reason: string): SwarmError {
    if (reason === 'not-leader' || reason === 'wrong-term') return this.#notLeader();
    if (reason === 'read-only')
      return new SwarmError(
        'READ_ONLY',
        "the leader's disk is nearly full: no change is taken until there is room",
        { advice: 'Free space where its state directory is.', command: 'swarm cluster status' },
      );
    return new SwarmError('DROPPED', `not written: ${reason}`);
  }
}

function settle(members: readonly Answered[]): void {
  for (const { waiting, value, error } of members) {
    if (error === undefined) waiting.resolve(value);
    else waiting.reject(error);
  }
}

function refuse(members: readonly Answered[], error: SwarmError): void {
  for (const { waiting } of members) waiting.reject(error);
}

function maybeDone(): SwarmError {
  return new SwarmError('MAYBE_DONE', 'leadership changed while this was being written');
}

function tooLarge(): SwarmError {
  return new SwarmError(
    'INVALID_SPEC',
    `one change may write at most ${LIMITS.entryBytesHardMax} bytes`,
  );
}

function rowsOf(draft: GroupDraft): DraftRows {
  const rows = new Map<TableName, Map<string, unknown>>();
  for (const { table, id, row } of draft.changes()) {
    if (row === undefined) continue;
    const byId = rows.get(table) ?? new Map<string, unknown>();
    byId.set(id, row);
    rows.set(table, byId);
  }
  return rows;
}

function answerOf(row: AnswerRow): unknown {
  const text = Buffer.from(row.answer).toString('utf8');
  return text === '' ? undefined : JSON.parse(text);
}
