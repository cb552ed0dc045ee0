import type { Random } from '../../shared/random.ts';
import type { NetworkMood } from './engine/sim-network.ts';
import type { FaultDeps } from './fault.ts';
import { FAULT_NAMES, strike } from './faults.ts';
import type { Profile } from './profiles.ts';

/** Something that a seed lets go wrong; numbers are the same however many are left out. */
export interface Struck {
  readonly number: number;
  readonly atMs: number;
  readonly name: string;
}

/** The weather of a run, as faults that hold from the beginning. */
const WEATHER: readonly {
  readonly name: string;
  readonly set: (mood: NetworkMood, random: Random) => void;
}[] = [
  { name: 'frames are lost', set: (mood, random) => (mood.drop = random.below(30)) },
  { name: 'frames are doubled', set: (mood, random) => (mood.duplicate = random.below(30)) },
  { name: 'frames overtake each other', set: (mood, random) => (mood.reorder = random.below(60)) },
  {
    name: 'the network is slow',
    set: (mood, random) => (mood.delayMs = [10, 40][random.below(2)]!),
  },
  { name: 'cut links hold frames back', set: (mood) => (mood.holds = true) },
];
const CALM = { drop: 0, duplicate: 0, reorder: 0, delayMs: 3, holds: false };

/**
 * What goes wrong in the run of a seed, and when: a mixture of its own for every seed, which finds
 * more than all faults at once. Each has numbers of its own, so that a run without some of them has
 * the others unchanged: that is what makes a failing schedule shrink.
 */
export class Schedule {
  readonly struck: Struck[] = [];
  readonly #deps: FaultDeps;
  readonly #isLeftOut: (number: number) => boolean;
  readonly #chosen: readonly string[];
  readonly #meanMs: number;
  #next = 0;
  #stopped = false;

  constructor(
    deps: FaultDeps,
    {
      isLeftOut,
      profile,
    }: { readonly isLeftOut?: (number: number) => boolean; readonly profile?: Profile },
  ) {
    this.#deps = deps;
    this.#isLeftOut = isLeftOut ?? (() => false);
    const random = deps.random.stream('mixture');
    const share = 2 + random.below(8);
    const mixture = FAULT_NAMES.filter(() => random.below(10) < share);
    const meanMs = [400, 1_000, 2_500][random.below(3)]!;
    this.#chosen = profile?.faults ?? mixture;
    this.#meanMs = profile?.meanMs ?? meanMs;
  }

  start(): void {
    const { network } = this.#deps;
    for (const { name, set } of WEATHER) {
      const { number, random } = this.#draw();
      if (random.below(2) === 0 || this.#isLeftOut(number)) continue;
      this.#note(number, name);
      set(network.mood, random);
    }
    this.#goOn();
  }

  /** No more faults, and everything that is broken heals; what hangs or stands still ends by itself. */
  stop(): void {
    this.#stopped = true;
    const { network, managers, agents, checker } = this.#deps;
    checker.moments.isOver = true;
    Object.assign(network.mood, CALM);
    network.heal();
    managers.wantAll();
    for (const machine of managers.machines) {
      machine.disk.calm();
      machine.creep(0);
      // What rots unseen would be one more loss in the middle of what follows.
      if (machine.isSpoilt && machine.isUp) machine.crash();
      if (!machine.isUp) machine.restartSoon(50);
    }
    for (const agent of agents) agent.start();
  }

  #goOn(): void {
    if (this.#chosen.length === 0) return;
    const { number, random } = this.#draw();
    const name = this.#chosen[random.below(this.#chosen.length)]!;
    this.#deps.timeline.after(this.#meanMs * (0.2 + random.below(1_600) / 1_000), () => {
      if (this.#stopped) return;
      if (!this.#isLeftOut(number)) {
        this.#note(number, name);
        strike(name, this.#deps, random);
      }
      this.#goOn();
    });
  }

  #draw(): { readonly number: number; readonly random: Random } {
    const number = this.#next++;
    return { number, random: this.#deps.random.stream(`fault ${number}`) };
  }
  #note(number: number, name: string): void {
    this.struck.push({ number, atMs: this.#deps.timeline.nowMs, name });
  }
}
