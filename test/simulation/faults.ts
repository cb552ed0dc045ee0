import type { Random } from '../../shared/random.ts';
import { DATABASE, type Machine, STATE, type World } from './cluster/machine.ts';
import type { Managers } from './cluster/managers.ts';
import type { Operator } from './cluster/operator.ts';
import type { SimAgent } from './cluster/sim-agent.ts';
import { canDemote, canLose, type Group } from './spare.ts';

export interface FaultDeps extends World {
  readonly managers: Managers;
  readonly operator: Operator;
  readonly agents: readonly SimAgent[];
}

/** Everything that may go wrong. A seed draws some of them, and how often. */
const FAULTS: { readonly [name: string]: (f: Fault) => void } = {
  'partition in two': (f) => f.partition(),
  'machine cut off': (f) => f.cutOff(f.any(), true, true),
  'machine cut off one way': (f) => f.cutOff(f.any(), f.coin(), undefined),
  'leader cut off': (f) => f.cutOff(f.leaderOrAny(), true, true),
  'leader cut off one way': (f) => f.cutOff(f.leaderOrAny(), f.coin(), undefined),
  'link cut': (f) => f.cutLink(),
  'connections reset': (f) => f.resetConnections(),
  crash: (f) => f.crash(f.any()),
  'leader crash': (f) => f.crash(f.leaderOrAny()),
  'power cut': (f) => {
    for (const machine of f.machines) f.crash(machine);
  },
  pause: (f) => f.pause(f.any()),
  'leader pause': (f) => f.pause(f.leaderOrAny()),
  'slow machine': (f) => f.creep(f.any()),
  'slow disk': (f) => f.slowDisk(f.any()),
  'hung disk': (f) => f.hangDisk(f.leaderOrAny()),
  'failing disk': (f) => f.failDisk(f.leaderOrAny()),
  'full disk': (f) => f.fillDisk(f.any(), 'none'),
  'nearly full disk': (f) => f.fillDisk(f.leaderOrAny(), 'little'),
  'bit flip': (f) => f.spoil(f.any(), (machine) => machine.disk.flipBit(DATABASE)),
  'bit flip in a file': (f) =>
    f.spoil(f.any(), (machine) =>
      machine.disk.flipFile(`${STATE}/${f.pick(['vote.a', 'vote.b', 'data.key'])}`),
    ),
  'lost stretch of the log': (f) => f.spoil(f.any(), (machine) => machine.disk.dropBytes(DATABASE)),
  'wiped machine': (f) => f.spoil(f.any(), (machine) => f.wipe(machine)),
  'node demoted': (f) => f.demote(f.any()),
  'leader demoted': (f) => f.demote(f.leaderOrAny()),
  'transfer of leadership': (f) => f.transfer(),
  'orderly restart': (f) => f.restart(f.any()),
  'rolling restart': (f) => f.rollingRestart(() => undefined),
  'rolling change of the release': (f) => {
    const isNewer = f.coin();
    f.rollingRestart((machine) => {
      machine.isNewer = isNewer;
    });
  },
  'backup taken': (f) => void f.deps.operator.takeBackup(f.any()).catch(() => undefined),
  'cluster recovered': (f) => f.deps.operator.recover(f.any()),
  'cluster restored': (f) => f.deps.operator.restore(f.any()),
  'agent killed': (f) => f.crashAgent(false),
  'power of an agent lost': (f) => f.crashAgent(true),
};
export const FAULT_NAMES: readonly string[] = Object.keys(FAULTS);

/** What only profiles ask for (profiles.ts), by name. */
const FAULTS_ON_REQUEST: { readonly [name: string]: (f: Fault) => void } = {
  'two short reigns': (f) => f.shortenReigns(),
};

/** One thing that goes wrong: what it does is drawn from numbers of its own. */
export class Fault {
  readonly name: string;
  readonly deps: FaultDeps;
  readonly #random: Random;

  constructor(name: string, deps: FaultDeps, random: Random) {
    this.name = name;
    this.deps = deps;
    this.#random = random;
  }
  get machines(): readonly Machine[] {
    return this.deps.managers.machines;
  }

  strike(): void {
    this.deps.counters.count(`fault: ${this.name}`);
    (FAULTS[this.name] ?? FAULTS_ON_REQUEST[this.name]!)(this);
  }

  coin(): boolean {
    return this.#random.below(2) === 0;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.#random.below(items.length)]!;
  }
  any(): Machine {
    return this.pick(this.machines);
  }
  leaderOrAny(): Machine {
    const any = this.any();
    const leader = this.deps.managers.leader();
    return leader && this.#random.below(3) > 0 ? leader.machineOf : any;
  }

  // -- the network

  partition(): void {
    const side = new Set(this.machines.filter(() => this.coin()));
    const untilMs = this.#until(300, 8_000);
    for (const a of this.machines) {
      for (const b of this.machines) if (side.has(a) !== side.has(b)) this.#cut(a, b, untilMs);
    }
  }
  /** `outward` undefined: only the other direction than `inward`. */
  cutOff(machine: Machine, inward: boolean, outward: boolean | undefined): void {
    const untilMs = this.#until(300, 8_000);
    for (const other of this.machines) {
      if (outward ?? !inward) this.#cut(machine, other, untilMs);
      if (inward) this.#cut(other, machine, untilMs);
    }
  }
  cutLink(): void {
    const [a, b] = [this.any(), this.any()];
    const untilMs = this.#until(300, 10_000);
    this.#cut(a, b, untilMs);
    if (this.coin()) this.#cut(b, a, untilMs);
  }
  /**
   * What a new leader appends only one machine hears, and so with the next one. Then the first may
   * lead again, and bring back there what it had before (paper, figure 8), while the disk of that
   * machine has not written the first of it.
   */
  shortenReigns(): void {
    const { managers, network, checker } = this.deps;
    const { elections } = checker;
    const leader = managers.leader();
    const [listener, first] = this.#twoBut(leader?.machineOf);
    if (!leader || !listener || !first?.isUp) return;
    this.#hang(listener, this.#until(4_000, 9_000));
    elections.onElected = (raftId) => {
      if (raftId !== first.raftId) return;
      this.#muffle(first, listener);
      elections.onElected = (nextRaftId) => {
        elections.onElected = () => undefined;
        for (const { number } of this.machines) network.cut(first.number, number, 0);
        const next = this.machines.find((machine) => machine.raftId === nextRaftId);
        if (next && next !== listener) this.#muffle(next, listener);
      };
    };
    void leader.driver.transferLeadership(first.raftId).catch(() => undefined);
  }
  #twoBut(other: Machine | undefined): Machine[] {
    const rest = this.machines.filter((machine) => machine !== other);
    const [one] = rest.splice(this.#random.below(rest.length), 1);
    return one && rest.length > 0 ? [one, this.pick(rest)] : [];
  }
  #muffle(leader: Machine, listener: Machine): void {
    const untilMs = this.#until(5_000, 8_000);
    for (const other of this.machines) if (other !== listener) this.#cut(leader, other, untilMs);
  }
  /** Of one machine, as by a firewall that forgets them: what was on its way is lost. */
  resetConnections(): void {
    this.deps.network.reset(this.any().number);
  }
  #cut(from: Machine, to: Machine, untilMs: number): void {
    if (from !== to) this.deps.network.cut(from.number, to.number, untilMs);
  }

  // -- processes

  crash(machine: Machine): void {
    if (!machine.process) return;
    machine.crash();
    machine.restartSoon(this.#span(20, 4_000));
  }
  pause(machine: Machine): void {
    const untilMs = this.#until(100, this.#random.below(10) === 0 ? 30_000 : 3_000);
    machine.pausedUntilMs = Math.max(machine.pausedUntilMs, untilMs);
  }
  creep(machine: Machine): void {
    machine.creep(this.pick([0.01, 0.5, 2]));
    this.#later(500, 4_000, () => machine.creep(0));
  }
  restart(machine: Machine): void {
    void machine.process?.stop().then(() => machine.restartSoon(50));
  }
  rollingRestart(prepare: (machine: Machine) => void): void {
    for (const [at, machine] of this.machines.entries()) {
      this.deps.timeline.after(at * 1_500, () => {
        prepare(machine);
        this.restart(machine);
      });
    }
  }
  crashAgent(power: boolean): void {
    const { agents } = this.deps;
    if (agents.length === 0) return;
    const agent = this.pick(agents);
    if (!agent.isUp) return;
    agent.crash(power);
    this.#later(50, 6_000, () => agent.start());
  }

  // -- disks

  slowDisk(machine: Machine): void {
    machine.disk.mood.slowMs = this.pick([30, 150, 600]);
    this.#later(1_000, 8_000, () => {
      machine.disk.mood.slowMs = 3;
    });
  }
  hangDisk(machine: Machine): void {
    const isLong = this.#random.below(8) === 0;
    this.#hang(machine, this.#until(300, isLong ? 40_000 : 4_000));
  }
  #hang({ disk: { mood } }: Machine, untilMs: number): void {
    mood.hungUntilMs = Math.max(mood.hungUntilMs, untilMs);
  }
  failDisk(machine: Machine): void {
    if (!machine.isLocked) machine.disk.mood.failsNext = true;
  }
  /** A manager asks every five seconds how much room there is. */
  fillDisk(machine: Machine, room: 'little' | 'none'): void {
    if (machine.isLocked) return;
    const { mood } = machine.disk;
    mood.room = room;
    this.#later(1_000, room === 'little' ? 15_000 : 10_000, () => {
      mood.room = 'enough';
    });
  }
  /** Stops a machine and damages what it has, while a quorum of sound ones is left. */
  spoil(machine: Machine, damage: (machine: Machine) => boolean): void {
    if (machine.raftId <= 0 || machine.isLocked || !this.#canLose(machine)) return;
    machine.crash();
    machine.isSpoilt = true;
    if (damage(machine)) this.deps.counters.count('disk spoilt');
    machine.restartSoon(this.#span(20, 1_000));
  }
  wipe(machine: Machine): boolean {
    machine.disk.wipe();
    machine.raftId = 0;
    return true;
  }
  /**
   * Under every configuration that may be in force, or may be soon, because a member that has joined
   * is given a vote: raft promises nothing beyond.
   */
  #canLose(machine: Machine): boolean {
    const { managers, checker } = this.deps;
    if (managers.isShrinking) return false;
    const { config } = checker.history;
    const joined = this.machines.map((m) => m.raftId).filter((raftId) => raftId !== 0);
    const soon = new Set([...config.voters, ...config.learners, ...joined]);
    return canLose(this.#group(), machine.raftId, [...soon]);
  }
  #group(): Group {
    const applied = this.machines.flatMap((m) => (m.isUp ? [m.process!.confState.voters] : []));
    const electorates = [...applied, this.deps.checker.history.config.voters];
    const sound = this.machines.filter((m) => !m.isSpoilt).map((m) => m.raftId);
    return { electorates, sound: new Set(sound) };
  }

  // -- the cluster

  demote(machine: Machine): void {
    const { managers } = this.deps;
    if (!canDemote(this.#group(), machine.raftId)) return;
    managers.demote(machine);
    this.#later(2_000, 12_000, () => managers.want(machine));
  }
  transfer(): void {
    const { managers, counters } = this.deps;
    const leader = managers.leader();
    void leader?.driver.transferLeadership().then(
      () => counters.count('leadership transferred'),
      () => counters.count('transfer failed'),
    );
  }

  #later(minMs: number, maxMs: number, fn: () => void): void {
    this.deps.timeline.after(this.#span(minMs, maxMs), fn);
  }
  #span(minMs: number, maxMs: number): number {
    return minMs + this.#random.below(maxMs - minMs);
  }
  #until(minMs: number, maxMs: number): number {
    return this.deps.timeline.nowMs + this.#span(minMs, maxMs);
  }
}
