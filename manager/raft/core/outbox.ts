/**
 * What has changed since it was last looked at: puts a Ready together and notes what was handed
 * out. In async mode the writing and applying are messages with their answers attached.
 */
import { assert } from '../../../shared/assert.ts';
import { entriesSize } from './entry-size.ts';
import type { Raft } from './raft.ts';
import type { Entry, HardState, Message, Ready, Snapshot, SoftState } from './types.ts';
import { blankMessage, LOCAL_APPEND, LOCAL_APPLY, MessageType } from './types.ts';

export class Outbox {
  private readonly raft: Raft;
  private soft: SoftState;
  private hard: HardState;
  /** Sync mode: this node's own answers to the last Ready, due when it has been worked off. */
  private ownAnswers: Message[] = [];

  constructor(raft: Raft) {
    this.raft = raft;
    this.soft = raft.softState();
    this.hard = raft.hardState();
  }

  hasReady(): boolean {
    const r = this.raft;
    return (
      r.msgs.length > 0 ||
      r.msgsAfterAppend.length > 0 ||
      r.readStates.length > 0 ||
      r.log.unstable.hasNextEntries() ||
      r.log.unstable.nextSnapshot() !== null ||
      this.softChanged() ||
      this.hardChanged() ||
      r.log.hasNextCommitted(this.allowUnstable())
    );
  }

  /** Puts together what there is and marks it as handed out. */
  take(): Ready {
    const r = this.raft;
    assert(this.ownAnswers.length === 0, 'the Ready before this one was not advanced over');
    const entries = r.log.unstable.nextEntries();
    const snapshot = r.log.unstable.nextSnapshot();
    const committedEntries = r.log.nextCommitted(this.allowUnstable());
    const hardState = this.hardChanged() ? r.hardState() : null;
    const softState = this.softChanged() ? r.softState() : null;
    const mustSync = entries.length > 0 || r.term !== this.hard.term || r.vote !== this.hard.vote;
    const messages = r.config.asyncStorageWrites
      ? this.asyncMessages(entries, hardState, snapshot, committedEntries)
      : this.syncMessages(snapshot, committedEntries);
    const { readStates } = r;
    this.accept(softState, hardState, committedEntries);
    return {
      softState,
      hardState,
      readStates,
      entries,
      snapshot,
      committedEntries,
      messages,
      mustSync,
    };
  }

  takeOwnAnswers(): readonly Message[] {
    const answers = this.ownAnswers;
    this.ownAnswers = [];
    return answers;
  }

  private accept(
    soft: SoftState | null,
    hard: HardState | null,
    committed: readonly Entry[],
  ): void {
    const r = this.raft;
    if (soft !== null) this.soft = soft;
    if (hard !== null) this.hard = hard;
    r.readStates = [];
    r.msgs = [];
    r.msgsAfterAppend = [];
    r.readOnly.closeRound();
    r.log.unstable.acceptInProgress();
    if (committed.length === 0) return;
    const last = committed[committed.length - 1]!.index;
    r.log.acceptApplying(last, entriesSize(committed), this.allowUnstable());
  }

  private asyncMessages(
    entries: readonly Entry[],
    hard: HardState | null,
    snapshot: Snapshot | null,
    committed: readonly Entry[],
  ): Message[] {
    const r = this.raft;
    const messages = r.msgs;
    const writes = entries.length > 0 || hard !== null || snapshot !== null;
    if (writes || r.msgsAfterAppend.length > 0) {
      messages.push(this.appendMessage(entries, hard, snapshot));
    }
    if (committed.length > 0) {
      const m = blankMessage(MessageType.StorageApply);
      m.from = r.id;
      m.to = LOCAL_APPLY;
      m.entries = committed;
      m.responses = [this.applied(committed)];
      messages.push(m);
    }
    return messages;
  }

  private appendMessage(
    entries: readonly Entry[],
    hard: HardState | null,
    snapshot: Snapshot | null,
  ): Message {
    const r = this.raft;
    const responses = r.msgsAfterAppend;
    if (this.needsDurableAnswer(snapshot)) responses.push(this.durable(snapshot));
    const m = blankMessage(MessageType.StorageAppend);
    m.from = r.id;
    m.to = LOCAL_APPEND;
    m.entries = entries;
    m.snapshot = snapshot;
    m.responses = responses;
    if (hard === null) return m;
    m.term = hard.term;
    m.vote = hard.vote;
    m.commit = hard.commit;
    return m;
  }

  private syncMessages(snapshot: Snapshot | null, committed: readonly Entry[]): Message[] {
    const r = this.raft;
    const messages = r.msgs;
    for (const m of r.msgsAfterAppend) (m.to === r.id ? this.ownAnswers : messages).push(m);
    if (this.needsDurableAnswer(snapshot)) this.ownAnswers.push(this.durable(snapshot));
    if (committed.length > 0) this.ownAnswers.push(this.applied(committed));
    return messages;
  }

  /**
   * Asked for with every write while anything is unstable, not only by the write that has the
   * entries: an answer of an earlier term is ignored, so a write of this term must repeat it.
   */
  private needsDurableAnswer(snapshot: Snapshot | null): boolean {
    return this.raft.log.unstable.length > 0 || snapshot !== null;
  }

  /** The answer to a write: the log is durable to its end, and so is the snapshot. */
  private durable(snapshot: Snapshot | null): Message {
    const r = this.raft;
    const m = blankMessage(MessageType.StorageAppendResp);
    m.from = LOCAL_APPEND;
    m.to = r.id;
    m.term = r.term;
    m.snapshot = snapshot;
    if (r.log.unstable.length === 0) return m;
    m.index = r.log.lastIndex();
    m.logTerm = r.log.lastTerm();
    return m;
  }

  private applied(entries: readonly Entry[]): Message {
    const m = blankMessage(MessageType.StorageApplyResp);
    m.from = LOCAL_APPLY;
    m.to = this.raft.id;
    m.entries = entries;
    return m;
  }

  private softChanged(): boolean {
    return this.raft.lead !== this.soft.lead || this.raft.state !== this.soft.state;
  }

  private hardChanged(): boolean {
    const { raft: r, hard } = this;
    return r.term !== hard.term || r.vote !== hard.vote || r.log.committed !== hard.commit;
  }

  /** Synchronously, entries are durable before they are applied, so they may come in one Ready. */
  private allowUnstable(): boolean {
    return !this.raft.config.asyncStorageWrites;
  }
}
