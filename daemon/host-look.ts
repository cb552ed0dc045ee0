import type { Clock, Timer } from '../shared/clock.ts';

export interface HostLookDeps {
  readonly clock: Clock;
  /** What is looked at, as a text that differs when it does. */
  readonly look: () => string;
  readonly onChange: () => void;
}

/** Routes and addresses come and go (a VPN, another program's bridges): managers hear of it this soon. */
const LOOK_MS = 10_000;

/** Tells when what this host says of itself has changed. */
export class HostLook {
  readonly #deps: HostLookDeps;
  #known = '';
  #timer: Timer | undefined;

  constructor(deps: HostLookDeps) {
    this.#deps = deps;
  }
  /** What is there now has been told. */
  start(): void {
    this.#known = this.#deps.look();
    this.#arm();
  }
  stop(): void {
    this.#timer?.cancel();
  }
  #arm(): void {
    this.#timer = this.#deps.clock.setTimer(LOOK_MS, () => {
      const now = this.#deps.look();
      const differs = now !== this.#known;
      this.#known = now;
      this.#arm();
      if (differs) this.#deps.onChange();
    });
  }
}
