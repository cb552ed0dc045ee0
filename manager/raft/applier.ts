import type { Clock } from '../../shared/clock.ts';
import type { StateMachine } from '../replication.ts';
import {
  ConfChangeType,
  type ConfState,
  decodeConfChange,
  type Entry,
  EntryType,
  type Message,
  type RawNode,
} from './core/index.ts';
import type { LogWriter } from './storage/log-writer.ts';
import { decodePeer, type PeerDirectory } from './transport/peers.ts';

/** After this much work at a stretch, other events get their turn. */
const SLICE_MS = 10;

export interface ApplierDeps {
  readonly clock: Clock;
  readonly node: RawNode;
  readonly writer: LogWriter;
  readonly directory: PeerDirectory;
  readonly stateMachine: StateMachine;
  readonly confState: ConfState;
  readonly appliedIndex: number;
  /** After each entry. */
  readonly applied: (entry: Entry) => void;
  readonly removed: (raftId: number) => void;
  /** The answers attached to an apply, to be given to the core. */
  readonly deliver: (responses: readonly Message[]) => void;
  /** Runs the rest of the work after other events; what it throws ends the process. */
  readonly later: (work: () => void) => void;
}

/** Applies committed entries in order: to the tables in memory, and to what goes to disk next. */
export class Applier {
  readonly #deps: ApplierDeps;
  readonly #queue: { readonly message: Message; at: number }[] = [];
  #index: number;
  #confState: ConfState;
  #configIndex: number;
  #waiting = false;

  constructor(deps: ApplierDeps) {
    this.#deps = deps;
    this.#index = deps.appliedIndex;
    this.#confState = deps.confState;
    this.#configIndex = deps.appliedIndex;
  }

  /** Everything up to here is in the tables. */
  get index(): number {
    return this.#index;
  }
  /** Index of the last applied change of members, or where this process began. */
  get configIndex(): number {
    return this.#configIndex;
  }
  get confState(): ConfState {
    return this.#confState;
  }

  /** Takes a StorageApply message. */
  take(message: Message): void {
    this.#queue.push({ message, at: 0 });
    if (!this.#waiting) this.#run();
  }

  /** The tables were replaced by a snapshot's. */
  reset(index: number, confState: ConfState): void {
    this.#index = index;
    this.#configIndex = index;
    this.#confState = confState;
  }

  #run(): void {
    const { clock } = this.#deps;
    const untilMs = clock.monotonicMs() + SLICE_MS;
    for (let work = this.#queue[0]; work !== undefined; work = this.#queue[0]) {
      const { entries, responses } = work.message;
      while (work.at < entries.length) {
        this.#apply(entries[work.at++]!);
        if (clock.monotonicMs() >= untilMs && work.at < entries.length) {
          this.#waiting = true;
          this.#deps.later(() => {
            this.#waiting = false;
            this.#run();
          });
          return;
        }
      }
      this.#queue.shift();
      this.#deps.deliver(responses);
    }
  }

  #apply(entry: Entry): void {
    const { index, term } = entry;
    if (entry.type !== EntryType.Normal) this.#applyChange(entry);
    else if (entry.data.length > 0) this.#applyData(entry);
    else this.#deps.writer.stage([], index, term, this.#confState);
    this.#index = index;
    this.#deps.stateMachine.applied(index, term);
    this.#deps.applied(entry);
  }

  #applyData(entry: Entry): void {
    const { index, term } = entry;
    const changes = this.#deps.stateMachine.apply(index, term, entry.data);
    for (const change of changes) {
      if (change.table === 'member' || change.table === 'removedMember') {
        this.#deps.directory.noteRow(change);
      }
    }
    this.#deps.writer.stage(changes, index, term, this.#confState);
  }

  #applyChange(entry: Entry): void {
    const { index, term } = entry;
    const change = decodeConfChange(entry);
    if (change) {
      this.#confState = this.#deps.node.applyConfChange(change);
      this.#configIndex = index;
      const peer = decodePeer(change.context);
      for (const { type, nodeId } of change.changes) {
        if (type === ConfChangeType.RemoveNode) this.#deps.removed(nodeId);
        else if (peer?.raftId === nodeId) this.#deps.directory.learn(peer);
      }
    }
    this.#deps.writer.stage([], index, term, this.#confState);
  }
}
