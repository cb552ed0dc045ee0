import { messageOf } from '../../shared/errors.ts';
import { Database, type DatabaseDeps, type Disk, type OpenEngine } from '../database/index.ts';
import type { RaftDeps, RaftOptions } from './deps.ts';
import { RaftDriver } from './driver.ts';
import { clearLeftovers, openLog } from './storage/open-log.ts';

export interface OpenRaftDeps extends RaftDeps {
  readonly disk: Disk;
  readonly openEngine: OpenEngine;
  /** See `DatabaseDeps`. */
  readonly examine?: DatabaseDeps['examine'];
}

/** A member's database and driver, opened and checked, not started. */
export interface OpenedRaft {
  readonly driver: RaftDriver;
  readonly database: Database;
  /** Stops the driver (see `RaftDriver.stop`), then closes the database. Safe to call twice. */
  close(options?: { readonly handOver?: boolean }): Promise<void>;
}

/**
 * Opens the state that `createFirstMember` or `createJoiningMember` made in `directory`. Rejects
 * with DAMAGED when it may have lost something it promised: the member must not take part again
 * under its raft id (`wipeMember`, then join as a new one); with STATE_DIR when it is in use.
 */
export async function openRaft(
  directory: string,
  options: RaftOptions,
  deps: OpenRaftDeps,
): Promise<OpenedRaft> {
  let driver: RaftDriver | undefined;
  const database = await Database.open(directory, {
    clock: deps.clock,
    disk: deps.disk,
    random: deps.random,
    log: deps.log,
    openEngine: deps.openEngine,
    // The writer whose write failed reports it as well; this is for writes of nobody's.
    onPoison: (error) => driver?.poisoned(error),
    ...(deps.examine ? { examine: deps.examine } : {}),
  });
  try {
    const opened = await openLog(directory, database, deps.disk);
    await clearLeftovers(database, opened);
    driver = new RaftDriver(options, deps, database, opened);
  } catch (error) {
    deps.log.error({ reason: messageOf(error) }, 'the state of this manager cannot be used');
    await database.close();
    throw error;
  }
  return { driver, database, close: closing(driver, database) };
}

function closing(driver: RaftDriver, database: Database): OpenedRaft['close'] {
  let closed: Promise<void> | undefined;
  return (options = {}) => {
    closed ??= driver.stop(options).then(() => database.close());
    return closed;
  };
}
