import type { BackupSummary } from '../../../manager/recovery/index.ts';
import { backUp, onlineSnapshot, recover, restore } from '../../../manager/recovery/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Random } from '../../../shared/random.ts';
import { SimClock } from '../engine/timeline.ts';
import { watchedLog } from '../engine/watched-log.ts';
import type { Clients } from './clients.ts';
import { nodeIdOf } from './founding.ts';
import { type Machine, NOBODY, STATE, UNREAD, type World } from './machine.ts';
import type { Managers } from './managers.ts';
import type { Secrets } from './secrets.ts';

/** Not again before this has gone by: the cluster has to live in between. */
const REST_MS = 20_000;
const LOOK_MS = 50;
/** Members of the old epoch that come back are told that they are out. */
const OLD_ONES_AFTER_MS = 3_000;

interface Backup {
  readonly bytes: Buffer;
  readonly index: number;
}

export interface OperatorDeps {
  readonly world: World;
  readonly managers: Managers;
  readonly clients: Clients;
  readonly secrets: Secrets;
}

/**
 * Whoever runs `swarm cluster backup`, `restore` and `recover`. The whole cluster is gone for a while
 * then; what it goes on with is one manager's state or a backup, in a new epoch.
 */
export class Operator {
  readonly #deps: OperatorDeps;
  readonly #random: Random;
  readonly #key: Uint8Array;
  #backup: Backup | undefined;
  #restsUntilMs = 0;
  #restored = 0;

  constructor(deps: OperatorDeps) {
    this.#deps = deps;
    this.#random = deps.world.random.stream('operator');
    this.#key = this.#random.bytes(32);
  }

  /** The cluster is gone for the moment. */
  get isBusy(): boolean {
    return this.#restsUntilMs === Number.POSITIVE_INFINITY;
  }

  /** Online, from any manager. */
  async takeBackup(machine: Machine): Promise<void> {
    const { process } = machine;
    if (!process || !machine.isUp || this.#isOfThePast(machine)) return;
    const { database, clock, driver } = process;
    const readIndex = () => driver.readIndex();
    const consistency = this.#random.below(3) === 0 ? 'stale' : 'linearizable';
    const { snapshot } = await onlineSnapshot({ database, clock, readIndex }, consistency);
    const pieces = backUp(snapshot, this.#key, clock.wallMs(), this.#random);
    try {
      const backup = await collect(pieces);
      if (process.isDead || this.#isOfThePast(machine)) return;
      this.#backup = backup;
    } finally {
      await snapshot.close();
    }
    this.#deps.world.counters.count('backup taken');
  }

  /** Everybody is gone; one goes on from its own state. */
  recover(survivor: Machine): boolean {
    if (survivor.raftId <= 0 || survivor.isSpoilt) return false;
    if (this.#isOfThePast(survivor)) return false;
    const withUncommitted = this.#random.below(3) === 0;
    if (this.#rests) return false;
    void this.#during('cluster recovered', survivor, async () => {
      const { address, offline } = survivor;
      const saved: Backup[] = [];
      const { checker, counters } = this.#deps.world;
      const before = checker.logs.of(survivor.raftId).hard.commit;
      const { upTo } = await recover(
        STATE,
        { address, withUncommitted, backupKey: this.#key },
        {
          ...offline,
          clock: this.#clock(),
          examine: async () => 'sound',
          log: watchedLog(counters, (what) => checker.fail(`recover: ${what}`)),
          saveBackup: async (pieces) => void saved.push(await collect(pieces)),
        },
      );
      // A backup of before has what is lost now.
      this.#backup = undefined;
      if (saved.length === 0) checker.fail('recovered without a backup');
      if (upTo < before) checker.fail(`recovered to ${upTo}, ${before} was committed there`);
      return { upTo, sure: withUncommitted ? before : upTo };
    });
    return true;
  }

  /** Nobody goes on from a member of an epoch that has ended: what followed was lost with it. */
  #isOfThePast({ epoch }: Machine): boolean {
    return epoch < this.#deps.world.checker.newestEpoch;
  }

  /** Everything is gone; a backup is restored, as a node of its own. */
  restore(target: Machine): boolean {
    const backup = this.#backup;
    if (!backup || this.#rests) return false;
    void this.#during('cluster restored', target, async () => {
      const { secrets } = this.#deps;
      const nodeId = nodeIdOf(target.number, ++this.#restored);
      const self = { nodeId, nodeName: nodeId, address: target.address };
      const newKey = async (): Promise<string> => secrets.nodeKey;
      const deps = { ...target.offline, clock: this.#clock(), newKey };
      target.disk.wipe();
      target.raftId = 0;
      target.isSpoilt = false;
      await restore(STATE, inPieces(backup.bytes), this.#key, self, deps).catch((error: Error) => {
        throw new Error(`a backup cannot be restored: ${error.message}`, { cause: error });
      });
      target.nodeId = nodeId;
      return { upTo: backup.index, sure: backup.index };
    });
    return true;
  }
  get #rests(): boolean {
    return this.#deps.world.timeline.nowMs < this.#restsUntilMs;
  }

  async #during(
    name: string,
    chosen: Machine,
    work: () => Promise<{ readonly upTo: number; readonly sure: number }>,
  ): Promise<void> {
    const { world, managers, clients } = this.#deps;
    const { timeline, checker, counters } = world;
    this.#restsUntilMs = Number.POSITIVE_INFINITY;
    clients.leave();
    for (const machine of managers.machines) {
      machine.isLocked = true;
      machine.crash();
    }
    // Operators look after the disk first: what became of a failed attempt, nobody could tell.
    chosen.disk.calm();
    chosen.disk.mood.hungUntilMs = 0;
    const voters = checker.history.config.voters;
    try {
      const { upTo, sure } = await work();
      checker.cut(upTo, sure);
      counters.count(name);
      chosen.raftId = UNREAD;
      this.#scatter(chosen, voters);
      await this.#begin(chosen);
    } catch (error) {
      if (!isExpected(error)) {
        checker.fail(`${name}: ${error instanceof Error ? error.stack : String(error)}`);
        return;
      }
      counters.count(`not possible: ${name}`);
      counters.trace?.(`  ${error.message}`);
      clients.stay();
      this.#unlock(managers.machines);
    }
    this.#restsUntilMs = timeline.nowMs + REST_MS;
  }

  /** Starts the one that goes on; users come back when it leads. */
  async #begin(chosen: Machine): Promise<void> {
    const { clients, managers, world } = this.#deps;
    this.#unlock([chosen]);
    await this.#until(() => chosen.isUp && chosen.process!.driver.isLeader);
    clients.comeBack(chosen.process!);
    managers.wantAll();
    const others = managers.machines.filter((machine) => machine !== chosen);
    this.#unlock(others.filter((machine) => machine.raftId === 0));
    world.timeline.after(OLD_ONES_AFTER_MS, () => this.#unlock(others));
  }

  /** Less than a majority of the old voters still has its state and comes back with it. */
  #scatter(chosen: Machine, voters: readonly number[]): void {
    let mayReturn = Math.ceil(voters.length / 2) - 1;
    for (const machine of this.#deps.managers.machines) {
      if (machine === chosen || machine.raftId === 0) continue;
      const isVoter = voters.includes(machine.raftId);
      if (this.#random.below(2) === 0 && (!isVoter || mayReturn-- > 0)) {
        this.#deps.world.counters.count('old member comes back');
        continue;
      }
      machine.disk.wipe();
      machine.raftId = 0;
    }
  }

  #unlock(machines: readonly Machine[]): void {
    for (const machine of machines) {
      if (!machine.isLocked) continue;
      machine.isLocked = false;
      machine.start();
    }
  }

  #clock(): SimClock {
    const { timeline } = this.#deps.world;
    return new SimClock(timeline, NOBODY, timeline.nowMs, 1);
  }

  #until(holds: () => boolean): Promise<void> {
    const { timeline } = this.#deps.world;
    return new Promise((resolve) => {
      const look = (): void => {
        if (holds()) resolve();
        else timeline.after(LOOK_MS, look);
      };
      look();
    });
  }
}

async function collect(pieces: AsyncGenerator<Buffer, BackupSummary>): Promise<Backup> {
  const found: Buffer[] = [];
  for (;;) {
    const { done, value } = await pieces.next();
    if (done === true) return { bytes: Buffer.concat(found), index: value.index };
    found.push(value);
  }
}

async function* inPieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 4_096) yield bytes.subarray(at, at + 4_096);
}

/** Not every state can be recovered from: that of a member who has just joined has nothing in it. */
function isExpected(error: unknown): error is Error {
  return SwarmError.is(error) && ['DAMAGED', 'REMOVED', 'PRECONDITION'].includes(error.code);
}
