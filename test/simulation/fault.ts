import type { Random } from '../../shared/random.ts';
import { MOMENTS } from './check/moments.ts';
import { DATABASE, type Machine, type World } from './cluster/machine.ts';
import type { Managers } from './cluster/managers.ts';
import type { Operator } from './cluster/operator.ts';
import type { SimAgent } from './cluster/sim-agent.ts';
import { canDemote, canLose } from './spare.ts';

export interface FaultDeps extends World {
  readonly managers: Managers;
  readonly operator: Operator;
  readonly agents: readonly SimAgent[];
}

/** One thing that goes wrong: what it does is drawn from numbers of its own. */
export class Fault {
  readonly deps: FaultDeps;
  readonly #random: Random;

  constructor(deps: FaultDeps, random: Random) {
    this.deps = deps;
    this.#random = random;
  }
  get machines(): readonly Machine[] {
    return this.deps.managers.machines;
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

  partition(): boolean {
    const side = new Set(this.machines.filter(() => this.coin()));
    const untilMs = this.#until(300, 8_000);
    for (const a of this.machines) {
      for (const b of this.machines) if (side.has(a) !== side.has(b)) this.#cut(a, b, untilMs);
    }
    return side.size > 0 && side.size < this.machines.length;
  }
  /** `outward` undefined: only the other direction than `inward`. */
  cutOff(machine: Machine, inward: boolean, outward: boolean | undefined): boolean {
    const untilMs = this.#until(300, 8_000);
    for (const other of this.machines) {
      if (outward ?? !inward) this.#cut(machine, other, untilMs);
      if (inward) this.#cut(other, machine, untilMs);
    }
    return true;
  }
  cutLink(): boolean {
    const [a, b] = [this.any(), this.any()];
    const untilMs = this.#until(300, 10_000);
    this.#cut(a, b, untilMs);
    if (this.coin()) this.#cut(b, a, untilMs);
    return a !== b;
  }
  /**
   * What a new leader appends only one machine hears, and so with the next one. Then the first may
   * lead again, and bring back there what it had before (paper, figure 8), while the disk of that
   * machine has not written the first of it.
   */
  shortenReigns(): boolean {
    const { managers } = this.deps;
    const leader = managers.leader();
    const [listener, first] = this.#twoBut(leader?.machineOf);
    if (!leader || !listener || !first?.isUp) return false;
    this.#hang(listener, this.#until(4_000, 9_000));
    this.#whenLeads(first, () => this.#reignShortly(first, listener));
    void leader.driver.transferLeadership(first.raftId).catch(() => undefined);
    return true;
  }
  #whenLeads(machine: Machine, fn: () => void): void {
    this.deps.checker.moments.next('a leader begins', (raftId) => {
      if (raftId === machine.raftId) fn();
      else this.#whenLeads(machine, fn);
    });
  }
  #reignShortly(first: Machine, listener: Machine): void {
    const { network, checker } = this.deps;
    this.#muffle(first, listener);
    checker.moments.next('a leader begins', (raftId) => {
      for (const { number } of this.machines) network.cut(first.number, number, 0);
      const next = this.machines.find((machine) => machine.raftId === raftId);
      if (next && next !== listener) this.#muffle(next, listener);
    });
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
  resetConnections(): boolean {
    return this.deps.network.reset(this.any().number) > 0;
  }
  #cut(from: Machine, to: Machine, untilMs: number): void {
    if (from !== to) this.deps.network.cut(from.number, to.number, untilMs);
  }

  // -- processes

  crash(machine: Machine): boolean {
    if (!machine.process) return false;
    machine.crash();
    machine.restartSoon(this.#span(20, 4_000));
    return true;
  }
  /** In the middle of a write or a change of names: as it works, as it opens its state, as it makes one. */
  crashAtStep(machine: Machine): boolean {
    if (machine.isLocked) return false;
    const begin = this.pick(['works', 'opens', 'joins']);
    // A new state is given its name behind ten others.
    const steps = begin === 'joins' ? 7 + this.#random.below(7) : this.#random.below(20);
    if (begin === 'opens') this.crash(machine);
    if (begin === 'joins' && !this.spoil(machine, () => this.wipe(machine))) return false;
    machine.disk.mood.diesAfter = steps;
    return begin !== 'works' || machine.isUp;
  }
  pause(machine: Machine): boolean {
    const untilMs = this.#until(100, this.#random.below(10) === 0 ? 30_000 : 3_000);
    machine.pausedUntilMs = Math.max(machine.pausedUntilMs, untilMs);
    return machine.isUp;
  }
  creep(machine: Machine): boolean {
    machine.creep(this.pick([0.01, 0.5, 2]));
    this.#later(500, 4_000, () => machine.creep(0));
    return machine.isUp;
  }
  restart(machine: Machine): boolean {
    const { isUp } = machine;
    void machine.process?.stop().then(() => machine.restartSoon(50));
    return isUp;
  }
  rollingRestart(prepare: (machine: Machine) => void): boolean {
    for (const [at, machine] of this.machines.entries()) {
      this.deps.timeline.after(at * 1_500, () => {
        prepare(machine);
        this.restart(machine);
      });
    }
    return true;
  }
  /** Machine by machine, or some of them and no more: two releases work together meanwhile. */
  changeRelease(isNewer: boolean): boolean {
    const { length } = this.machines;
    const changed = this.machines.slice(0, this.coin() ? length : 1 + this.#random.below(length));
    const isChange = changed.some((machine) => machine.isNewer !== isNewer);
    this.rollingRestart((machine) => {
      if (changed.includes(machine)) machine.isNewer = isNewer;
    });
    return isChange;
  }
  crashAgent(power: boolean): boolean {
    const { agents } = this.deps;
    if (agents.length === 0) return false;
    const agent = this.pick(agents);
    if (!agent.isUp) return false;
    agent.crash(power);
    this.#later(50, 6_000, () => agent.start());
    return true;
  }
  pauseAgent(): boolean {
    const agent = this.#anyAgent();
    if (agent) agent.pausedUntilMs = this.#until(500, 20_000);
    return agent !== undefined;
  }
  /** From all managers, for longer than they wait for it. Its tasks go on. */
  cutOffAgent(): boolean {
    const agent = this.#anyAgent();
    if (!agent) return false;
    const untilMs = this.#until(500, 20_000);
    for (const { number } of this.machines) {
      if (number === agent.machine) continue;
      this.deps.network.cut(agent.machine, number, untilMs);
      this.deps.network.cut(number, agent.machine, untilMs);
    }
    return true;
  }
  #anyAgent(): SimAgent | undefined {
    const up = this.deps.agents.filter(({ isUp }) => isUp);
    return up.length === 0 ? undefined : this.pick(up);
  }

  // -- moments

  /**
   * Strikes when it matters: as a leader begins, as members change, as a snapshot arrives. It meets
   * whom this happens to, or whoever leads.
   */
  strikeAtMoment(): boolean {
    const { timeline, counters, checker } = this.deps;
    const moment = this.pick(MOMENTS);
    checker.moments.next(moment, (raftId) => {
      const delayMs = this.#random.below(2) * this.#random.below(30);
      timeline.after(delayMs, () => {
        if (checker.moments.isOver) return;
        const met = this.machines.find((machine) => machine.raftId === raftId);
        counters.count(`a fault as ${moment}`);
        this.#strikeOnce(met && this.coin() ? met : this.leaderOrAny());
      });
    });
    return true;
  }
  #strikeOnce(machine: Machine): void {
    const strikes = [
      () => this.crash(machine),
      () => this.cutOff(machine, true, true),
      () => this.cutOff(machine, this.coin(), undefined),
      () => this.pause(machine),
      () => this.hangDisk(machine),
    ];
    this.pick(strikes)();
  }

  // -- disks

  slowDisk(machine: Machine): boolean {
    machine.disk.mood.slowMs = this.pick([30, 150, 600]);
    this.#later(1_000, 8_000, () => {
      machine.disk.mood.slowMs = 3;
    });
    return machine.isUp;
  }
  hangDisk(machine: Machine): boolean {
    const isLong = this.#random.below(8) === 0;
    this.#hang(machine, this.#until(300, isLong ? 40_000 : 4_000));
    return machine.isUp;
  }
  #hang({ disk: { mood } }: Machine, untilMs: number): void {
    mood.hungUntilMs = Math.max(mood.hungUntilMs, untilMs);
  }
  failDisk(machine: Machine): boolean {
    if (machine.isLocked) return false;
    machine.disk.mood.failsNext = true;
    return true;
  }
  /** A manager asks every five seconds how much room there is. */
  fillDisk(machine: Machine, room: 'little' | 'none'): boolean {
    if (machine.isLocked) return false;
    const { mood } = machine.disk;
    mood.room = room;
    this.#later(1_000, room === 'little' ? 15_000 : 10_000, () => {
      mood.room = 'enough';
    });
    return true;
  }
  /** Stops a machine and damages what it has, while a quorum of sound ones is left. */
  spoil(machine: Machine, damage: (machine: Machine) => boolean): boolean {
    if (machine.raftId <= 0 || machine.isLocked || !this.#canLose(machine)) return false;
    machine.crash();
    machine.isSpoilt = true;
    const isDamaged = damage(machine);
    machine.restartSoon(this.#span(20, 1_000));
    return isDamaged;
  }
  /** Nobody notices before it is read: by a scrub, at the next start, or for another member. */
  rot(machine: Machine): boolean {
    if (!machine.isUp || machine.isLocked || !this.#canLose(machine)) return false;
    const isDamaged = machine.disk.rotBit(DATABASE);
    machine.isSpoilt ||= isDamaged;
    return isDamaged;
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
    return canLose(managers.group, machine.raftId, [...config.learners, ...joined]);
  }

  // -- the cluster

  demote(machine: Machine): boolean {
    const { managers } = this.deps;
    if (!canDemote(managers.group, machine.raftId)) return false;
    managers.demote(machine);
    this.#later(2_000, 12_000, () => managers.want(machine));
    return true;
  }
  transfer(): boolean {
    const { managers, counters } = this.deps;
    const leader = managers.leader();
    void leader?.driver.transferLeadership().then(
      () => counters.count('leadership transferred'),
      () => counters.count('transfer failed'),
    );
    return leader !== undefined;
  }
  takeBackup(machine: Machine): boolean {
    void this.deps.operator.takeBackup(machine).catch(() => undefined);
    return machine.isUp;
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
