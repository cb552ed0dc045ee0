import type { Clock } from '../../shared/clock.ts';
import type { Log } from '../../shared/log.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import type { Database } from '../database/index.ts';
import type { RowChange, RowSlices } from '../replication.ts';
import type { ConsensusLoop } from './consensus-loop.ts';
import type { Message, Snapshot } from './core/index.ts';
import { SnapshotInstaller } from './snapshot/installer.ts';
import { SnapshotReceiver } from './snapshot/receiver.ts';
import { SnapshotSender } from './snapshot/sender.ts';
import { SnapshotSource } from './snapshot/source.ts';
import type { Identity } from './storage/meta.ts';
import type { PeerDirectory } from './transport/peers.ts';

export interface SnapshotsDeps {
  readonly identity: Identity;
  readonly directory: PeerDirectory;
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
  readonly dial: (address: string) => Client;
  /** Undefined before the member takes part. */
  readonly loop: () => ConsensusLoop | undefined;
  /** The rows that count now. */
  readonly generation: () => number;
  readonly note: (row: RowChange) => void;
  readonly load: (snapshot: Snapshot, rows: RowSlices) => Promise<void>;
}

/** The way of a member's state to others, and of another's state into this member. */
export class Snapshots {
  readonly source: SnapshotSource;
  readonly sender: SnapshotSender;
  readonly receiver: SnapshotReceiver;
  readonly installer: SnapshotInstaller;

  constructor(deps: SnapshotsDeps) {
    const { identity, directory, db, clock, log, dial, loop, generation, note, load } = deps;
    this.source = new SnapshotSource(db);
    this.installer = new SnapshotInstaller({
      db,
      step: (message: Message) => loop()?.run((node) => void node.step(message)),
      isHeld: () => loop()?.node.holdsSnapshot === true,
      note,
      load,
    });
    this.sender = new SnapshotSender({
      identity,
      directory,
      source: this.source,
      clock,
      log,
      dial,
      reported: (raftId, ok) => loop()?.run((node) => node.reportSnapshot(raftId, ok)),
    });
    this.receiver = new SnapshotReceiver({
      identity,
      directory,
      db,
      log,
      generation,
      install: (message, asOf) => this.installer.install(message, asOf),
    });
  }

  /** The core has done all there was to do: what it is done with is let go of. */
  settled(): void {
    this.source.sweep();
    this.installer.settled();
  }
  stop(): void {
    this.sender.stop();
    this.installer.stop();
  }
}
