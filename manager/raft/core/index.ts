/**
 * The Raft core: a pure state machine to the published shape of etcd's raft, from the dissertation
 * (Ongaro 2014). It decides; `manager/raft` around it owns clock, disk and network. This is the
 * only door; start reading at `raw-node.ts`.
 */

export { asConfChange, decodeConfChange, encodeConfChange } from './confchange-codec.ts';
export type { RaftConfig, RaftConfigInput, ReadOnlyMode, Trace } from './config.ts';
export { raftConfig, SILENT, TraceLevel } from './config.ts';
export { describeProgress, messageTypeName, stateName } from './describe.ts';
export type { PayloadFormat } from './describe-message.ts';
export {
  describeEntry,
  describeLength,
  describeMessage,
  describeReady,
  describeTarget,
} from './describe-message.ts';
export { entriesSize, entrySize } from './entry-size.ts';
export type { Progress } from './progress.ts';
export { ProgressState } from './progress.ts';
export type { ProposeConfChangeResult, Status } from './raw-node.ts';
export { RawNode } from './raw-node.ts';
export type { Storage, StorageError } from './storage.ts';
export { MemoryStorage } from './storage.ts';
export type {
  ConfChange,
  ConfChangeSingle,
  ConfChangeV1,
  ConfState,
  Entry,
  HardState,
  Message,
  MessageDraft,
  MessageFields,
  NodeId,
  ProposeError,
  ProposeResult,
  ReadState,
  Ready,
  Snapshot,
  SoftState,
  StepResult,
} from './types.ts';
export {
  blankMessage,
  ConfChangeTransition,
  ConfChangeType,
  EMPTY_CONF_STATE,
  EMPTY_HARD_STATE,
  EntryType,
  LOCAL_APPEND,
  LOCAL_APPLY,
  MessageType,
  message,
  NO_BYTES,
  NO_ENTRIES,
  NO_LIMIT,
  NO_MESSAGES,
  NONE,
  StateType,
} from './types.ts';
