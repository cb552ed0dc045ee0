import { majority } from '../../manager/raft/index.ts';
import type { Random } from '../../shared/random.ts';
import type { Admin } from './admin.ts';
import type { Checker } from './checker.ts';
import type { Counters } from './counters.ts';
import { DIRECTORY, databasePath, type Machine } from './machine.ts';
import type { SimAgent } from './sim-agent.ts';
import type { SimNetwork } from './sim-network.ts';
import type { Timeline } from './timeline.ts';

export interface FaultDeps {
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly checker: Checker;
  readonly counters: Counters;
  readonly random: Random;
  readonly machines: readonly Machine[];
  readonly admin: Admin;
  readonly agents: readonly SimAgent[];
}

type Fault = (faults: Faults) => void;

/** Everything that may go wrong. A seed draws some of them, and how often. */
const FAULTS: { readonly [name: string]: Fault } = {
  'partition in two': (f) => f.partition(),
  'machine cut off': (f) => f.cutOff(f.any(), true, true),
  'machine cut off one way': (f) => f.cutOff(f.any(), f.coin(), undefined),
  'leader cut off': (f) => f.cutOff(f.leaderOrAny(), true, true),
  'leader cut off one way': (f) => f.cutOff(f.leaderOrAny(), f.coin(), undefined),
  'link cut': (f) => f.cutLink(),
  crash: (f) => f.crash(f.any()),
  'leader crash': (f) => f.crash(f.leaderOrAny()),
  'power cut': (f) => {
    for (const machine of f.deps.machines) f.crash(machine);
  },
  pause: (f) => f.pause(f.any()),
  'leader pause': (f) => f.pause(f.leaderOrAny()),
  'slow machine': (f) => f.creep(f.any()),
  'slow disk': (f) => f.slowDisk(f.any()),
  'hung disk': (f) => f.hangDisk(f.leaderOrAny()),
  'failing disk': (f) => {
    f.leaderOrAny().disk.mood.failsNext = true;
  },
  'full disk': (f) => f.fillDisk(f.any()),
  'bit flip': (f) => f.spoil(f.any(), (machine) => machine.disk.flipBit(databasePath())),
  'bit flip in a file': (f) =>
    f.spoil(f.any(), (machine) =>
      machine.disk.flipFile(`${DIRECTORY}/${f.pick(['vote.a', 'vote.b', 'data.key'])}`),
    ),
  'lost stretch of the log': (f) =>
    f.spoil(f.any(), (machine) => machine.disk.dropBytes(databasePath())),
  'wiped machine': (f) => f.spoil(f.any(), (machine) => f.wipe(machine)),
  'removal of a member': (f) => f.deps.admin.remove(f.any()),
  'transfer of leadership': (f) => f.transfer(),
  'orderly restart': (f) => f.restart(f.any()),
  'rolling restart': (f) => f.rollingRestart(),
  'agent killed': (f) => f.crashAgent(false),
  'power of an agent lost': (f) => f.crashAgent(true),
};
export const FAULT_NAMES = Object.keys(FAULTS);

/** Draws faults by the seed and lets them happen. */
export class Faults {
  readonly deps: FaultDeps;
  readonly #chosen: string[];
  readonly #meanMs: number;
  #stopped = false;

  constructor(deps: FaultDeps) {
    this.deps = deps;
    const { random, network } = deps;
    // A different mixture for every seed finds more than all of them at once.
    const share = 2 + random.below(8);
    this.#chosen = FAULT_NAMES.filter(() => random.below(10) < share);
    this.#meanMs = [400, 1_000, 2_500][random.below(3)]!;
    if (this.coin()) network.mood.drop = random.below(30);
    if (this.coin()) network.mood.duplicate = random.below(30);
    if (this.coin()) network.mood.reorder = random.below(60);
    network.mood.delayMs = [1, 3, 10, 40][random.below(4)]!;
    network.mood.holds = this.coin();
  }

  start(): void {
    if (this.#chosen.length === 0) return;
    this.deps.timeline.after(this.#meanMs * (0.2 + this.deps.random.below(1_600) / 1_000), () => {
      if (this.#stopped) return;
      const name = this.pick(this.#chosen);
      this.deps.counters.count(`fault: ${name}`);
      FAULTS[name]!(this);
      this.start();
    });
  }

  /** No more faults, and everything that is broken heals. */
  stop(): void {
    this.#stopped = true;
    const { network, machines } = this.deps;
    Object.assign(network.mood, { drop: 0, duplicate: 0, reorder: 0, delayMs: 3, holds: false });
    network.heal();
    for (const machine of machines) {
      Object.assign(machine.disk.mood, { hungUntilMs: 0, slowMs: 3, isFull: false });
      machine.disk.mood.failsNext = false;
      machine.pausedUntilMs = 0;
      this.#setCreep(machine, 0);
      if (!machine.isUp) machine.restartSoon(50);
    }
    for (const agent of this.deps.agents) agent.start();
  }

  // -- what the faults are made of

  coin(): boolean {
    return this.deps.random.below(2) === 0;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.deps.random.below(items.length)]!;
  }
  any(): Machine {
    return this.pick(this.deps.machines);
  }
  leaderOrAny(): Machine {
    const leader = this.deps.admin.leader();
    return leader && this.deps.random.below(3) > 0 ? leader.machineOf : this.any();
  }

  partition(): void {
    const { machines } = this.deps;
    const untilMs = this.#until(300, 6_000);
    const side = machines.map(() => this.coin());
    for (const [a] of machines.entries()) {
      for (const [b] of machines.entries()) if (side[a] !== side[b]) this.#cut(a, b, untilMs);
    }
  }
  /** `outward`: what it says is lost; `inward`: what it is told; undefined: the opposite. */
  cutOff(machine: Machine, outward: boolean, inward: boolean | undefined): void {
    const untilMs = this.#until(300, 6_000);
    for (const { number } of this.deps.machines) {
      if (number === machine.number) continue;
      if (outward) this.#cut(machine.number, number, untilMs);
      if (inward ?? !outward) this.#cut(number, machine.number, untilMs);
    }
  }
  /** For long: it speaks and does not hear, or the other way round. */
  deafen(machine: Machine, inward: boolean): void {
    const untilMs = this.deps.timeline.nowMs + 600_000;
    for (const { number } of this.deps.machines) {
      if (inward) this.#cut(number, machine.number, untilMs);
      else this.#cut(machine.number, number, untilMs);
    }
  }
  /** For long, both ways, between this machine and one other. */
  cutOneLink(machine: Machine): void {
    const other = (machine.number + 1) % this.deps.machines.length;
    const untilMs = this.deps.timeline.nowMs + 600_000;
    this.#cut(machine.number, other, untilMs);
    this.#cut(other, machine.number, untilMs);
  }
  cutLink(): void {
    const a = this.any().number;
    const b = this.any().number;
    const untilMs = this.#until(300, 10_000);
    this.#cut(a, b, untilMs);
    if (this.coin()) this.#cut(b, a, untilMs);
  }
  #cut(from: number, to: number, untilMs: number): void {
    if (from !== to) this.deps.network.cut(from, to, untilMs);
  }

  crash(machine: Machine): void {
    if (!machine.process) return;
    machine.crash();
    machine.restartSoon(this.#span(20, 4_000));
  }
  pause(machine: Machine): void {
    machine.pausedUntilMs = this.#until(100, this.deps.random.below(10) === 0 ? 30_000 : 3_000);
  }
  creep(machine: Machine): void {
    this.#setCreep(machine, this.pick([0.01, 0.5, 2]));
    this.deps.timeline.after(this.#span(500, 4_000), () => this.#setCreep(machine, 0));
  }
  #setCreep(machine: Machine, ms: number): void {
    machine.creepMs = ms;
    if (machine.process) machine.process.clock.creepMs = ms;
  }
  slowDisk(machine: Machine): void {
    machine.disk.mood.slowMs = this.pick([30, 150, 600]);
    this.deps.timeline.after(this.#span(1_000, 8_000), () => {
      machine.disk.mood.slowMs = 3;
    });
  }
  hangDisk(machine: Machine): void {
    const isLong = this.deps.random.below(8) === 0;
    machine.disk.mood.hungUntilMs = this.#until(300, isLong ? 40_000 : 4_000);
  }
  fillDisk(machine: Machine): void {
    machine.disk.mood.isFull = true;
    this.deps.timeline.after(this.#span(1_000, 10_000), () => {
      machine.disk.mood.isFull = false;
    });
  }

  /** Stops a machine and damages what it has, while a quorum of sound ones is left. */
  spoil(machine: Machine, damage: (machine: Machine) => boolean): void {
    if (machine.raftId === 0 || machine.isCreating || machine.needsNewId || !this.#canLose(machine))
      return;
    machine.crash();
    machine.isSpoilt = true;
    this.deps.checker.member(machine.raftId).isSpoilt = true;
    if (damage(machine)) this.deps.counters.count('disk spoilt');
    machine.restartSoon(this.#span(20, 1_000));
  }
  wipe(machine: Machine): boolean {
    machine.disk.wipe();
    machine.needsNewId = true;
    return true;
  }
  #canLose(machine: Machine): boolean {
    const { machines, checker } = this.deps;
    const sound = new Set(machines.filter((m) => !m.isSpoilt).map((m) => m.raftId));
    sound.delete(machine.raftId);
    const known = machines.flatMap((m) => (m.process?.isReady ? [m.process.confState] : []));
    return [...known, ...checker.configs()].every(
      ({ voters }) => voters.filter((id) => sound.has(id)).length >= majority(voters.length),
    );
  }

  transfer(): void {
    void this.deps.admin
      .leader()
      ?.driver.transferLeadership()
      .then(
        () => this.deps.counters.count('leadership transferred'),
        () => this.deps.counters.count('transfer failed'),
      );
  }
  restart(machine: Machine): void {
    void machine.process?.stop().then(() => machine.restartSoon(50));
  }
  rollingRestart(): void {
    for (const [at, machine] of this.deps.machines.entries()) {
      this.deps.timeline.after(at * 1_500, () => this.restart(machine));
    }
  }

  crashAgent(power: boolean): void {
    const { agents, timeline } = this.deps;
    if (agents.length === 0) return;
    const agent = this.pick(agents);
    if (!agent.isUp) return;
    agent.crash(power);
    timeline.after(this.#span(50, 6_000), () => agent.start());
  }

  #span(minMs: number, maxMs: number): number {
    return minMs + this.deps.random.below(maxMs - minMs);
  }
  #until(minMs: number, maxMs: number): number {
    return this.deps.timeline.nowMs + this.#span(minMs, maxMs);
  }
}
