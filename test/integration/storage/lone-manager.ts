import {
  type Disk,
  type OpenEngine,
  openLevel,
  systemDisk,
} from '../../../manager/database/index.ts';
import { createFirstMember, type OpenedRaft, openRaft } from '../../../manager/raft/index.ts';
import { ReplicatedStore } from '../../../manager/store/replicated-store.ts';
import type { Draft } from '../../../manager/store/view.ts';
import { Certificate } from '../../../proto/index.ts';
import { SystemClock } from '../../../shared/clock.ts';
import { SwarmError } from '../../../shared/errors.ts';
import { SystemIds } from '../../../shared/ids.ts';
import { silentLog } from '../../../shared/log.ts';
import { SystemRandom } from '../../../shared/random.ts';

const NODE_ID = 'lone-manager';
const ADDRESS = '127.0.0.1:1';

export interface LoneManagerDeps {
  readonly disk: Disk;
  readonly openEngine: OpenEngine;
}

/** A cluster of one: driver and store of production, without daemon and network. */
export class LoneManager {
  readonly #raft: OpenedRaft;
  readonly #store: ReplicatedStore;
  /** Why it must end; in production the process does. */
  readonly fatal: SwarmError[];

  private constructor(raft: OpenedRaft, store: ReplicatedStore, fatal: SwarmError[]) {
    this.#raft = raft;
    this.#store = store;
    this.fatal = fatal;
  }

  static async create(directory: string): Promise<void> {
    const member = { clusterId: 'c', epoch: 1, nodeId: NODE_ID, raftId: 1, address: ADDRESS };
    const deps = { disk: systemDisk, random: new SystemRandom(), openEngine: openLevel };
    await createFirstMember(directory, member, [], deps);
  }

  /** Opens, loads, and resolves when it takes updates. Rejects as the start of a manager does. */
  static async open(directory: string, deps: LoneManagerDeps): Promise<LoneManager> {
    const clock = new SystemClock();
    const fatal: SwarmError[] = [];
    let failed: (error: SwarmError) => void = () => undefined;
    const ended = new Promise<never>((_, reject) => {
      failed = reject;
    });
    ended.catch(() => undefined);
    const raft = await openRaft(
      directory,
      { address: ADDRESS },
      {
        clock,
        random: new SystemRandom(),
        log: silentLog,
        dial: () => {
          throw new SwarmError('UNREACHABLE', 'it is alone');
        },
        probe: async () => 'unknown',
        onFatal: (error) => {
          fatal.push(error);
          failed(error);
        },
        onRemoved: () => undefined,
        ...deps,
      },
    );
    const ids = new SystemIds();
    const leaderAddress = () => undefined;
    const { driver } = raft;
    const store = new ReplicatedStore({
      clock,
      ids,
      log: silentLog,
      proposer: driver,
      leaderAddress,
    });
    driver.onLeadership(store);
    const manager = new LoneManager(raft, store, fatal);
    try {
      const leads = new Promise<void>((resolve) => {
        driver.onLeadership({ gained: () => resolve(), lost: () => undefined });
      });
      await driver.start(store);
      await Promise.race([leads, ended]);
      return manager;
    } catch (error) {
      await manager.close();
      throw error;
    }
  }

  /** One row for each id, in one change; resolves when they are durable and applied. */
  putAll(ids: readonly string[], value: Uint8Array): Promise<void> {
    const rows = ids.map((id) => Certificate.create({ id, publicKey: value }));
    const change = (draft: Draft): void => {
      for (const row of rows) draft.put('certificate', row);
    };
    return this.#store.update(change, { writer: 'ca' });
  }

  /** What `putAll` left, by id. */
  values(): Map<string, Uint8Array> {
    const rows = [...this.#store.view.table('certificate').all()];
    return new Map(rows.map(({ id, publicKey }) => [id, publicKey]));
  }

  async close(): Promise<void> {
    await this.#raft.close({ handOver: false });
  }
}
