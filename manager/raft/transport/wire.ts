import type { RaftConfState, RaftMessage } from '../../../proto/index.ts';
import {
  type ConfState,
  EMPTY_CONF_STATE,
  type EntryType,
  type Message,
  type MessageType,
  message,
  NO_BYTES,
  NO_ENTRIES,
} from '../core/index.ts';

/**
 * A core message as it travels. Plain objects of the message's shape are encoded as they are:
 * building message instances first would double the cost of the hottest path.
 */
export function toWire(m: Message): RaftMessage {
  return {
    type: m.type,
    to: m.to,
    from: m.from,
    term: m.term,
    logTerm: m.logTerm,
    index: m.index,
    entries: m.entries,
    commit: m.commit,
    vote: m.vote,
    snapshot: m.snapshot && {
      confState: confStateToWire(m.snapshot.confState),
      index: m.snapshot.index,
      term: m.snapshot.term,
    },
    reject: m.reject,
    rejectHint: m.rejectHint,
    context: m.context,
  };
}

/** The opposite. What is no sensible message the core itself refuses. */
export function fromWire(m: RaftMessage): Message {
  return message({
    type: m.type as MessageType,
    to: m.to,
    from: m.from,
    term: m.term,
    logTerm: m.logTerm,
    index: m.index,
    entries: m.entries.length === 0 ? NO_ENTRIES : m.entries.map(entryFromWire),
    commit: m.commit,
    vote: m.vote,
    snapshot: m.snapshot && {
      index: m.snapshot.index,
      term: m.snapshot.term,
      confState: confStateFromWire(m.snapshot.confState),
      data: NO_BYTES,
    },
    reject: m.reject,
    rejectHint: m.rejectHint,
    context: m.context,
  });
}

function confStateToWire(state: ConfState): RaftConfState {
  return state;
}

function confStateFromWire(state: RaftConfState | null): ConfState {
  if (state === null) return EMPTY_CONF_STATE;
  return {
    voters: state.voters,
    votersOutgoing: state.votersOutgoing,
    learners: state.learners,
    learnersNext: state.learnersNext,
    autoLeave: state.autoLeave,
  };
}

function entryFromWire(e: RaftMessage['entries'][number]): Message['entries'][number] {
  return { term: e.term, index: e.index, type: e.type as EntryType, data: e.data };
}
