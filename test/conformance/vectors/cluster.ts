/** The nodes of an interaction script, and the messages that nobody has delivered yet. */
import type { ConfState, Entry, Message, Snapshot } from '../../../manager/raft/core/index.ts';
import {
  decodeConfChange,
  EMPTY_CONF_STATE,
  MemoryStorage,
  NO_BYTES,
  NO_LIMIT,
  RawNode,
} from '../../../manager/raft/core/index.ts';
import { Output } from './output.ts';

/** Answers with the state as applied, wherever the log has been cut. */
class ScriptStorage extends MemoryStorage {
  readonly node: { history: Snapshot[] };

  constructor(node: { history: Snapshot[] }) {
    super();
    this.node = node;
  }

  override snapshot(): Snapshot {
    return this.node.history[this.node.history.length - 1]!;
  }
}

export interface NodeOptions {
  voters: number[];
  learners: number[];
  index: number;
  content: Uint8Array;
  inflight: number;
  asyncStorageWrites: boolean;
  preVote: boolean;
  checkQuorum: boolean;
  maxCommittedSizePerReady: number;
  disableConfChangeValidation: boolean;
  readOnly: 'safe' | 'lease';
  stepDownOnRemoval: boolean;
}

export function defaultOptions(): NodeOptions {
  return {
    voters: [],
    learners: [],
    index: 0,
    content: NO_BYTES,
    inflight: 2 ** 31 - 1,
    asyncStorageWrites: false,
    preVote: false,
    checkQuorum: false,
    maxCommittedSizePerReady: NO_LIMIT,
    disableConfChangeValidation: false,
    readOnly: 'safe',
    stepDownOnRemoval: false,
  };
}

export const ELECTION_TICKS = 3;
export const HEARTBEAT_TICKS = 1;

export class ScriptNode {
  readonly raw: RawNode;
  readonly storage: MemoryStorage;
  readonly isAsync: boolean;
  /** State after each applied entry; the state is all payloads one after the other. */
  readonly history: Snapshot[];
  appendWork: Message[] = [];
  applyWork: Message[] = [];

  constructor(id: number, options: NodeOptions, trace: Output) {
    const confState: ConfState = {
      ...EMPTY_CONF_STATE,
      voters: options.voters,
      learners: options.learners,
    };
    const { index, content: data } = options;
    const start: Snapshot = { index, term: index > 0 ? 1 : 0, confState, data };
    this.history = [start];
    this.storage = new ScriptStorage(this);
    if (index > 0) this.storage.applySnapshot(start);
    this.isAsync = options.asyncStorageWrites;
    this.raw = new RawNode({
      id,
      storage: this.storage,
      random: () => 0,
      electionTicks: ELECTION_TICKS,
      heartbeatTicks: HEARTBEAT_TICKS,
      applied: index,
      asyncStorageWrites: options.asyncStorageWrites,
      maxSizePerMsg: NO_LIMIT,
      maxCommittedSizePerReady: options.maxCommittedSizePerReady,
      maxUncommittedSize: NO_LIMIT,
      maxInflightMsgs: options.inflight,
      maxInflightBytes: NO_LIMIT,
      checkQuorum: options.checkQuorum,
      preVote: options.preVote,
      readOnly: options.readOnly,
      disableProposalForwarding: false,
      disableConfChangeValidation: options.disableConfChangeValidation,
      stepDownOnRemoval: options.stepDownOnRemoval,
      votesTellCommit: false,
      trace,
    });
  }

  get id(): number {
    return this.raw.id;
  }

  append(work: Pick<Message, 'term' | 'vote' | 'commit' | 'entries' | 'snapshot'>): void {
    const { term, vote, commit, entries, snapshot } = work;
    if (term !== 0 || vote !== 0 || commit !== 0) this.storage.setHardState({ term, vote, commit });
    if (snapshot === null) {
      this.storage.append(entries);
      return;
    }
    if (entries.length > 0) throw new Error("can't apply snapshot and entries at the same time");
    this.storage.applySnapshot(snapshot);
  }

  apply(entries: readonly Entry[]): void {
    for (const e of entries) {
      const last = this.history[this.history.length - 1]!;
      const change = decodeConfChange(e);
      const confState = change === null ? last.confState : this.raw.applyConfChange(change);
      const update = change === null ? e.data : change.context;
      const data = new Uint8Array(last.data.length + update.length);
      data.set(last.data);
      data.set(update, last.data.length);
      this.history.push({ index: e.index, term: e.term, confState, data });
    }
  }
}

export class Cluster {
  readonly output = new Output();
  readonly nodes: ScriptNode[] = [];
  messages: Message[] = [];

  /** By the id that scripts use, from 1. */
  node(id: number): ScriptNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  add(options: NodeOptions): void {
    this.nodes.push(new ScriptNode(this.nodes.length + 1, options, this.output));
  }
}
