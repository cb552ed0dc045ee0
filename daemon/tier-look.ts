import type { Clock, Timer } from '../shared/clock.ts';
import type { Obstacle, OverlayTier } from './overlay-tier.ts';

export interface TierLookDeps {
  readonly clock: Clock;
  /** What is in the way and seen at no cost; undefined: nothing is. */
  readonly obstacle: () => Obstacle | undefined;
  /** Finds out by trying, at the cost of some programs. */
  readonly find: () => Promise<OverlayTier>;
  /** It is not what it was; called one at a time. */
  readonly onOther: (tier: OverlayTier) => void;
}

/** An address that comes late, a node of this machine that leaves: seen this soon. */
const LOOK_MS = 2_000;
/** What only a try shows: a program that was installed, a module that was loaded. */
const TRY_MS = 60_000;

/**
 * Looks again and again at what keeps a node from carrying networks, or encrypted ones, until nothing
 * does: machines have their addresses, and people install what is missing, after the daemon's start.
 */
export class TierLook {
  readonly #deps: TierLookDeps;
  #tier: OverlayTier | undefined;
  #obstacle = '';
  #triedAtMs = 0;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(deps: TierLookDeps) {
    this.#deps = deps;
  }
  /** `tier` was found a moment ago and has been told. */
  start(tier: OverlayTier): void {
    this.#triedAtMs = this.#deps.clock.monotonicMs();
    this.#obstacle = this.#deps.obstacle()?.why ?? '';
    this.#take(tier);
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #take(tier: OverlayTier): void {
    this.#tier = tier;
    if (this.#stopped || (tier.found ? tier.tunnel.found : tier.stays)) return;
    this.#timer = this.#deps.clock.setTimer(LOOK_MS, () => void this.#look());
  }
  async #look(): Promise<void> {
    const before = this.#tier!;
    const next = (await this.#next()) ?? before;
    if (this.#stopped) return;
    this.#take(next);
    if (JSON.stringify(next) !== JSON.stringify(before)) this.#deps.onOther(next);
  }
  /** Undefined: there is no reason to think that it is another. */
  async #next(): Promise<OverlayTier | undefined> {
    const nowMs = this.#deps.clock.monotonicMs();
    const obstacle = this.#tier!.found ? undefined : this.#deps.obstacle();
    const isOther = (obstacle?.why ?? '') !== this.#obstacle;
    this.#obstacle = obstacle?.why ?? '';
    if (obstacle !== undefined) return obstacle;
    if (!isOther && nowMs - this.#triedAtMs < TRY_MS) return undefined;
    this.#triedAtMs = nowMs;
    // A try that fails says nothing new; there is another one in a minute.
    return this.#deps.find().catch(() => undefined);
  }
}
