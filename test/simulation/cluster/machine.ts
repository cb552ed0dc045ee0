import { createFirstMember } from '../../../manager/raft/index.ts';
import type { RowChange } from '../../../manager/replication.ts';
import type { Random } from '../../../shared/random.ts';
import type { Checker } from '../check/checker.ts';
import type { Counters } from '../engine/counters.ts';
import { SimDisk } from '../engine/sim-disk.ts';
import { addressOf, type SimNetwork } from '../engine/sim-network.ts';
import type { Owner, Timeline } from '../engine/timeline.ts';
import { CLUSTER_ID, FIRST_EPOCH, type Founder, nodeIdOf } from './founding.ts';
import { ManagerProcess } from './manager-process.ts';

/** Where a manager keeps its state. */
export const STATE = '/state/raft';
export const DATABASE = `${STATE}/db`;

/** The raft id of a state that nobody has read yet. */
export const UNREAD = -1;
/** A process that died in the middle of something is started again after this time. */
const RESTART_MS = 500;

/** What everything in a simulation shares. */
export interface World {
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly checker: Checker;
  readonly counters: Counters;
  readonly random: Random;
}

/** What no process owns goes on whatever dies. */
export const NOBODY: Owner = { isDead: false, pausedUntilMs: 0 };

/** A machine: its disk outlives its processes. */
export class Machine {
  readonly number: number;
  readonly world: World;
  readonly disk: SimDisk;
  readonly address: string;
  /** Addresses of all that may be managers. */
  readonly peers: () => readonly string[];
  nodeId: string;
  /** Of the state on its disk; 0: there is none, or one that is given up. */
  raftId = 0;
  /** Of the state on its disk, as it was opened last. */
  epoch = 0;
  process: ManagerProcess | undefined;
  /** Its disk was spoilt on purpose and has not been found sound since. */
  isSpoilt = false;
  /** Its state was found damaged: it has to become a voter again, under another raft id. */
  isHealing = false;
  /** Its next process is of the newer release. */
  isNewer = false;
  /** Nobody starts it: an operator is at work, or it is to stay away. */
  isLocked = false;
  pausedUntilMs = 0;
  creepMs = 0;
  readonly #rate: number;
  #incarnations = 0;

  constructor(number: number, world: World, peers: () => readonly string[]) {
    this.number = number;
    this.world = world;
    this.peers = peers;
    this.nodeId = nodeIdOf(number);
    this.address = addressOf(number);
    const { timeline, random, counters } = world;
    this.disk = new SimDisk(timeline, random.stream('disk'), counters, () => this.#dies());
    this.#rate = 0.9 + world.random.below(201) / 1_000;
  }

  /** Ready, and taking part or about to. */
  get isUp(): boolean {
    return this.process !== undefined && !this.process.isDead && this.process.isReady;
  }

  /** What makes and changes states while no process runs. */
  get offline() {
    return {
      disk: this.disk.as(NOBODY, () => undefined),
      openEngine: this.disk.openEngine(NOBODY),
      random: this.world.random.stream(`offline ${++this.#incarnations}`),
    };
  }

  async found(founder: Founder, rows: readonly RowChange[]): Promise<void> {
    const member = { ...founder, clusterId: CLUSTER_ID, epoch: FIRST_EPOCH };
    await createFirstMember(STATE, member, rows, this.offline);
    this.raftId = founder.raftId;
    this.epoch = FIRST_EPOCH;
  }

  /** Starts the daemon on what the disk has. */
  start(): void {
    if (this.isLocked || (this.process && !this.process.isDead)) return;
    const random = this.world.random.stream(`process ${++this.#incarnations}`);
    const process = new ManagerProcess(this, random, this.#rate);
    this.process = process;
    process.clock.creepMs = this.creepMs;
    void process.run();
  }

  /** Power cut, or SIGKILL: whatever is not durable may be gone. */
  crash(): void {
    this.process?.die();
    this.process = undefined;
    this.disk.crash();
  }
  /** In the middle of something that its process does on the disk. */
  #dies(): void {
    if (this.isLocked) return;
    this.crash();
    this.restartSoon(RESTART_MS);
  }
  restartSoon(delayMs: number): void {
    this.world.timeline.after(delayMs, () => this.start());
  }
  creep(ms: number): void {
    this.creepMs = ms;
    if (this.process) this.process.clock.creepMs = ms;
  }
}
