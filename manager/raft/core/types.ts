/**
 * The plain values that the core takes and gives: entries, messages, hard state, configurations.
 *
 * Ownership: everything here is immutable once handed over, in both directions. The core keeps the
 * entries and byte arrays it is given and hands out its own without copying; nobody changes them.
 *
 * Numbers: ids, indexes, terms and sizes are JavaScript integers; 0 means "none" everywhere.
 * The numbers of the closed sets below are those of etcd's raftpb, so a trace can be compared.
 */

/** A raft id. 0 is "nobody"; negative ids are the local threads below and never travel. */
export type NodeId = number;

/** "Nobody": no leader, no vote, no transferee. */
export const NONE: NodeId = 0;
/** The target of StorageAppend: whoever makes the log and the hard state durable. */
export const LOCAL_APPEND: NodeId = -1;
/** The target of StorageApply: whoever applies committed entries. */
export const LOCAL_APPLY: NodeId = -2;
/** "Without limit" for sizes in bytes and for counts. */
export const NO_LIMIT = Number.MAX_SAFE_INTEGER;

/** Shared empty values, so that an absent field costs nothing and shapes stay the same. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);
export const NO_ENTRIES: readonly Entry[] = Object.freeze([]) as readonly Entry[];
export const NO_MESSAGES: readonly Message[] = Object.freeze([]) as readonly Message[];

export const EntryType = { Normal: 0, ConfChange: 1, ConfChangeV2: 2 } as const;
export type EntryType = (typeof EntryType)[keyof typeof EntryType];

/** One slot of the replicated log (dissertation section 3.5). */
export interface Entry {
  readonly term: number;
  readonly index: number;
  readonly type: EntryType;
  /** Opaque for `Normal`; else a configuration change, see `decodeConfChange`. */
  readonly data: Uint8Array;
}

export const ConfChangeType = { AddNode: 0, RemoveNode: 1, UpdateNode: 2, AddLearner: 3 } as const;
export type ConfChangeType = (typeof ConfChangeType)[keyof typeof ConfChangeType];

/**
 * How a change of several voters leaves the joint configuration (dissertation section 4.3).
 * `Auto` takes the joint way only where it must, and leaves by itself; `JointImplicit` always takes
 * it and leaves by itself; `JointExplicit` always takes it and waits for an empty change to leave.
 */
export const ConfChangeTransition = { Auto: 0, JointImplicit: 1, JointExplicit: 2 } as const;
export type ConfChangeTransition = (typeof ConfChangeTransition)[keyof typeof ConfChangeTransition];

export interface ConfChangeSingle {
  readonly type: ConfChangeType;
  readonly nodeId: NodeId;
}

/** Any number of single changes at once; none of them and `Auto` means: leave the joint state. */
export interface ConfChange {
  readonly transition: ConfChangeTransition;
  readonly changes: readonly ConfChangeSingle[];
  /** Opaque to the core (the driver's member record). */
  readonly context: Uint8Array;
}

/** The older form: exactly one change, never joint. */
export interface ConfChangeV1 {
  readonly type: ConfChangeType;
  readonly nodeId: NodeId;
  readonly context: Uint8Array;
}

/** A membership as it is persisted: all lists sorted by id, without duplicates. */
export interface ConfState {
  readonly voters: readonly NodeId[];
  /** The outgoing half of a joint configuration; empty when not joint. */
  readonly votersOutgoing: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** Voters of the outgoing half that become learners when the joint state is left. */
  readonly learnersNext: readonly NodeId[];
  /** Whether a leader leaves the joint state by itself. */
  readonly autoLeave: boolean;
}

/** What must be durable before anything that depends on it is sent (dissertation figure 3.1). */
export interface HardState {
  readonly term: number;
  readonly vote: NodeId;
  readonly commit: number;
}

export const StateType = { Follower: 0, Candidate: 1, Leader: 2, PreCandidate: 3 } as const;
export type StateType = (typeof StateType)[keyof typeof StateType];

/** What is worth knowing and not worth persisting. */
export interface SoftState {
  readonly lead: NodeId;
  readonly state: StateType;
}

/** State up to and including `index`. `data` is opaque: a cursor or handle of the driver. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly data: Uint8Array;
}

/** The answer to `readIndex(context)`: reads at or above applied `index` are linearizable. */
export interface ReadState {
  readonly index: number;
  readonly context: Uint8Array;
}

export const MessageType = {
  Hup: 0,
  Beat: 1,
  Prop: 2,
  App: 3,
  AppResp: 4,
  Vote: 5,
  VoteResp: 6,
  Snap: 7,
  Heartbeat: 8,
  HeartbeatResp: 9,
  Unreachable: 10,
  SnapStatus: 11,
  CheckQuorum: 12,
  TransferLeader: 13,
  TimeoutNow: 14,
  ReadIndex: 15,
  ReadIndexResp: 16,
  PreVote: 17,
  PreVoteResp: 18,
  StorageAppend: 19,
  StorageAppendResp: 20,
  StorageApply: 21,
  StorageApplyResp: 22,
  ForgetLeader: 23,
} as const;
export type MessageType = (typeof MessageType)[keyof typeof MessageType];

/**
 * One message, between members or to a local thread. Every field is always there (made by
 * `message()`), so all messages share one shape. What a field means depends on the type:
 * - App: entries follow (`index`, `logTerm`); AppResp: `index` is the last one that matches, or
 *   when `reject` the refused one, with `rejectHint` and `logTerm` as the place to try next.
 * - StorageAppend: `term`, `vote`, `commit` are the hard state to write (term 0: unchanged);
 *   `entries` and `snapshot` go with it in one atomic write; `responses` are delivered after it.
 * - StorageApply: `entries` are committed; `responses` are delivered when they are applied.
 */
export interface Message {
  readonly type: MessageType;
  readonly from: NodeId;
  readonly to: NodeId;
  readonly term: number;
  readonly logTerm: number;
  readonly index: number;
  readonly commit: number;
  readonly vote: NodeId;
  readonly reject: boolean;
  readonly rejectHint: number;
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | null;
  /** ReadIndex key, or the kind of a campaign in Vote; otherwise empty. */
  readonly context: Uint8Array;
  readonly responses: readonly Message[];
}

/** What there is to persist, send and apply now. In async mode all of it is also in `messages`. */
export interface Ready {
  /** Null when unchanged since the last Ready. */
  readonly softState: SoftState | null;
  /** Null when unchanged since the last Ready. */
  readonly hardState: HardState | null;
  readonly readStates: readonly ReadState[];
  /** To be appended; the first one may overwrite what storage has from its index on. */
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | null;
  readonly committedEntries: readonly Entry[];
  /** In sync mode to be sent after `entries`, `hardState` and `snapshot` are durable. */
  readonly messages: readonly Message[];
  /** Whether term, vote, entries or a snapshot changed: the write must be synced. */
  readonly mustSync: boolean;
}

/** `dropped`: not taken now (no leader, a transfer or the limit); surely not in any log. */
export type ProposeError = 'dropped' | 'not-leader' | 'wrong-term';
export type ProposeResult =
  | { readonly ok: true; readonly index: number; readonly term: number }
  | { readonly ok: false; readonly error: ProposeError };

/**
 * What became of a message given to `step`. All but `ok` and `ignored` left no trace in the state:
 * `dropped` a proposal nobody could take, `peer-not-found` an answer from a non-member,
 * `local-message` a kind that may not come from outside, `malformed` one that is no message.
 */
export type StepResult = 'ok' | 'dropped' | 'peer-not-found' | 'local-message' | 'malformed';

export interface MessageFields extends Partial<Message> {
  readonly type: MessageType;
}

/** A message that is being filled in, by whoever made it and before anybody else has it. */
export type MessageDraft = { -readonly [K in keyof Message]: Message[K] };

/**
 * A message with every field at its "none" value, to be filled in by assignment. All messages are
 * made by this one literal, so that they share a shape; merging objects costs ten times as much.
 */
export function blankMessage(type: MessageType): MessageDraft {
  return {
    type,
    from: NONE,
    to: NONE,
    term: 0,
    logTerm: 0,
    index: 0,
    commit: 0,
    vote: NONE,
    reject: false,
    rejectHint: 0,
    entries: NO_ENTRIES,
    snapshot: null,
    context: NO_BYTES,
    responses: NO_MESSAGES,
  };
}

/** As `blankMessage`, with some fields set: for where convenience counts more. */
export function message(fields: MessageFields): Message {
  return Object.assign(blankMessage(fields.type), fields);
}

export const EMPTY_HARD_STATE: HardState = Object.freeze({ term: 0, vote: NONE, commit: 0 });

export const EMPTY_CONF_STATE: ConfState = Object.freeze({
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
});
