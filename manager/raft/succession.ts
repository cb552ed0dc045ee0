import type { Clock } from '../../shared/clock.ts';
import type { Random } from '../../shared/random.ts';
import type { ConsensusLoop } from './consensus-loop.ts';
import { NONE } from './core/index.ts';

/** How often a survivor stands, at short distances. */
const CAMPAIGNS = 4;

export interface SuccessionDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly raftId: number;
  /** Undefined while this member takes no part. */
  loop(): ConsensusLoop | undefined;
  /** False for a member that must not stand now: its disk hangs. */
  mayStand(): boolean;
  /** The time between two survivors, in milliseconds. */
  slotMs(): number;
}

/**
 * Nobody listens where the leader did: no need to wait for an election timeout. The survivors stand
 * one after the other, so that they do not split the votes. The first may come before another has
 * noticed, and be refused: hence several tries.
 */
export class Succession {
  readonly #deps: SuccessionDeps;

  constructor(deps: SuccessionDeps) {
    this.#deps = deps;
  }

  /** A connection to `raftId` was reset and its port refuses another one. */
  refused(raftId: number): void {
    const loop = this.#deps.loop();
    if (loop === undefined || loop.node.lead !== raftId || loop.node.isLeader) return;
    loop.run((node) => node.forgetLeader());
    const survivors = loop.node.confState().voters.filter((id) => id !== raftId);
    const rank = Math.max(0, survivors.indexOf(this.#deps.raftId));
    this.#standSoon(rank, survivors.length, CAMPAIGNS);
  }

  #standSoon(slotsToWait: number, survivors: number, tries: number): void {
    const slotMs = this.#deps.slotMs();
    const waitMs = slotsToWait * slotMs + this.#deps.random.below(Math.ceil(slotMs / 2) + 1);
    this.#deps.clock.setTimer(waitMs, () => {
      const loop = this.#deps.loop();
      if (loop === undefined || !this.#deps.mayStand() || loop.node.lead !== NONE) return;
      loop.run((node) => node.campaign());
      if (tries > 1) this.#standSoon(survivors + 1, survivors, tries - 1);
    });
  }
}
