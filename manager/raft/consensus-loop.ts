import type { Clock } from '../../shared/clock.ts';
import type { Random } from '../../shared/random.ts';
import type { StateMachine } from '../replication.ts';
import { Applier } from './applier.ts';
import {
  type Entry,
  LOCAL_APPEND,
  LOCAL_APPLY,
  type Message,
  MessageType,
  NONE,
  RawNode,
  type ReadState,
  type Ready,
  type Trace,
} from './core/index.ts';
import { coreSettings } from './core-settings.ts';
import type { LogStore } from './storage/log-store.ts';
import type { LogWriter } from './storage/log-writer.ts';
import type { PeerDirectory } from './transport/peers.ts';

export interface ConsensusLoopDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly raftId: number;
  readonly store: LogStore;
  readonly writer: LogWriter;
  readonly directory: PeerDirectory;
  readonly stateMachine: StateMachine;
  readonly trace: Trace;
  /** To another member, at once. */
  readonly send: (message: Message) => void;
  readonly applied: (entry: Entry) => void;
  readonly readState: (state: ReadState) => void;
  /** Leader, term or own state may have changed. */
  readonly stateChanged: () => void;
  /** After everything there was to do is done. */
  readonly settled: () => void;
  readonly removed: (raftId: number) => void;
  readonly fatal: (error: unknown) => void;
}

/**
 * Runs the core: feeds it, and does what it says. Everything that touches the core goes through
 * here, in one turn of the event loop, never in the middle of another.
 */
export class ConsensusLoop {
  readonly #deps: ConsensusLoopDeps;
  readonly #inbox: Message[] = [];
  readonly node: RawNode;
  readonly applier: Applier;
  #pumping = false;
  #scheduled = false;
  #stopped = false;

  constructor(deps: ConsensusLoopDeps) {
    this.#deps = deps;
    const { applied } = deps.store;
    // Members that draw the same numbers would stand for election together for ever.
    const random = deps.random.stream(`raft ${deps.raftId}`);
    this.node = new RawNode(
      coreSettings({
        id: deps.raftId,
        storage: deps.store,
        applied: applied.index,
        random: (bound) => random.below(bound),
        trace: deps.trace,
      }),
    );
    this.applier = new Applier({
      clock: deps.clock,
      node: this.node,
      writer: deps.writer,
      directory: deps.directory,
      stateMachine: deps.stateMachine,
      confState: applied.confState,
      appliedIndex: applied.index,
      applied: deps.applied,
      removed: deps.removed,
      deliver: (responses) => this.deliver(responses),
      later: (work) => void deps.clock.setTimer(0, () => this.run(() => work())),
    });
  }

  /** Messages of other members, or of the local threads to anybody. */
  deliver(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.to === this.node.id) this.#inbox.push(message);
      else this.#deps.send(message);
    }
    this.#schedule();
  }

  /** Does something to the core, then what follows from it. Not to be called from inside itself. */
  run(work: (node: RawNode) => void): void {
    if (this.#stopped) return;
    try {
      work(this.node);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.pump();
  }

  /** Does what follows in this turn of the event loop, after everything else that is asked in it. */
  soon(): void {
    this.#schedule();
  }

  pump(): void {
    if (this.#pumping || this.#stopped) return;
    this.#pumping = true;
    try {
      do {
        for (const message of this.#inbox.splice(0)) this.node.step(message);
        while (this.node.hasReady()) this.#handle(this.node.ready());
      } while (this.#inbox.length > 0);
      this.#deps.stateChanged();
      this.#deps.settled();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#pumping = false;
    }
    // A listener that was told something may have proposed.
    if (!this.#stopped && this.node.hasReady()) this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
  }

  #schedule(): void {
    if (this.#scheduled || this.#stopped) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      this.pump();
    });
  }

  #handle(ready: Ready): void {
    if (ready.softState) this.#deps.stateChanged();
    for (const message of ready.messages) {
      if (message.to === LOCAL_APPEND) this.#deps.writer.append(message);
      else if (message.to === LOCAL_APPLY) this.applier.take(message);
      else this.#deps.send(message);
    }
    for (const state of ready.readStates) this.#deps.readState(state);
  }

  #fail(error: unknown): void {
    this.#stopped = true;
    this.#deps.fatal(error);
  }
}

/** Whether a message keeps a leader's authority alive: not sent by one whose disk hangs. */
export function isLeaderTraffic(message: Message): boolean {
  return message.type === MessageType.App || message.type === MessageType.Heartbeat;
}

/** Whether a follower hears its leader in one of these. */
export function isFromLeader(node: RawNode, messages: readonly Message[]): boolean {
  if (node.isLeader || node.lead === NONE) return false;
  return messages.some((m) => m.from === node.lead && m.term === node.term && isLeaderTraffic(m));
}
