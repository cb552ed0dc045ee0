/**
 * One member, seen from outside. The driver feeds it ticks, messages and requests, then takes a
 * Ready and does what it says; nothing here waits, sleeps, writes or sends.
 *
 * The loop in production (async storage writes):
 *   while (node.hasReady()) { for (const m of node.ready().messages) route(m); }
 * - to LOCAL_APPEND: write term/vote/commit, entries and snapshot in one synced batch, in order;
 *   then deliver each of `m.responses` (to this node by `step`, to others over the wire).
 * - to LOCAL_APPLY: apply `m.entries` in order (configuration changes by `applyConfChange`), then
 *   deliver each of `m.responses`.
 * - to others: send at once, in parallel with the write (dissertation 10.2.1).
 * `ready.readStates` and `ready.softState` are to be looked at as well; the rest repeats the
 * messages. Nothing may be lost between the core and the local threads; the wire may lose anything.
 */
import type { RaftConfigInput } from './config.ts';
import type { Progress } from './progress.ts';
import type {
  ConfChange,
  ConfChangeV1,
  ConfState,
  HardState,
  Message,
  NodeId,
  ProposeError,
  ProposeResult,
  Ready,
  SoftState,
  StateType,
  StepResult,
} from './types.ts';

export interface Status {
  readonly id: NodeId;
  readonly hardState: HardState;
  readonly softState: SoftState;
  readonly applied: number;
  readonly lastIndex: number;
  readonly config: ConfState;
  /** Only on the leader, sorted by id; live objects, to be read at once and not kept. */
  readonly progress: readonly Progress[];
  readonly leadTransferee: NodeId;
}

export declare class RawNode {
  constructor(config: RaftConfigInput);
  get id(): NodeId;
  get term(): number;
  get lead(): NodeId;
  get state(): StateType;
  get isLeader(): boolean;
  /** Highest index known to be committed. */
  get committed(): number;
  get applied(): number;
  get lastIndex(): number;
  get lastTerm(): number;
  get firstIndex(): number;
  get leadTransferee(): NodeId;
  /** Whether the entry at the commit index is of this term: reads and changes wait for it. */
  get hasCommittedInTerm(): boolean;
  /** Whether a configuration change may be in the log and not yet applied (leader only). */
  get hasPendingConfChange(): boolean;
  /** Payload bytes in the leader's uncommitted tail. */
  get uncommittedSize(): number;
  /** Input dropped because it was malformed, of an unknown kind or local. */
  get malformedCount(): number;

  /** One tick of the driver's clock has passed. */
  tick(): void;
  /** A message arrived from a member or from a local thread. Never throws for what it contains. */
  step(m: Message): StepResult;

  /** Appends `data` if this is the leader of exactly `term`: a draft belongs to a term. */
  propose(data: Uint8Array, term: number): ProposeResult;
  /** Several entries at once, sent in common messages; `index` is that of the last. */
  proposeBatch(datas: readonly Uint8Array[], term: number): ProposeResult;
  /** Appends here or sends to the leader (unless forwarding is off). For the scripts only. */
  proposeForward(data: Uint8Array): 'ok' | ProposeError;
  /**
   * With a term: leader only, as `propose`. Without: may be forwarded. The leader turns a change
   * that is not allowed now into an empty entry: `refused` says why, and nothing will change.
   */
  proposeConfChange(change: ConfChange | ConfChangeV1, term: number): ProposeConfChangeResult;
  proposeConfChangeForward(change: ConfChange | ConfChangeV1): 'ok' | ProposeError;
  /** To be called for each committed configuration change, when it is applied, in order. */
  applyConfChange(change: ConfChange | ConfChangeV1): ConfState;

  campaign(): void;
  /** Asks for a ReadState with this context. False: dropped for sure, there is no leader. */
  readIndex(context: Uint8Array): boolean;
  transferLeader(to: NodeId): void;
  /** A follower forgets its leader, so that it may vote at once. */
  forgetLeader(): void;
  /** The last message to this member could not be sent. */
  reportUnreachable(id: NodeId): void;
  /** What became of a snapshot sent to this member. */
  reportSnapshot(id: NodeId, ok: boolean): void;
  /** Entries that storage answered `pending` for can be read now. */
  retryAppends(): void;

  hasReady(): boolean;
  ready(): Ready;
  /** Sync mode only: what the last Ready said has been done. */
  advance(): void;

  status(): Status;
  /** The membership as applied. */
  confState(): ConfState;
  /** Undefined when not a member. Live: read at once, do not keep. */
  progress(id: NodeId): Progress | undefined;
}

export type ProposeConfChangeResult =
  | { readonly ok: true; readonly index: number; readonly term: number }
  | { readonly ok: false; readonly error: ProposeError }
  | { readonly ok: false; readonly error: 'refused'; readonly reason: string };
