import type { Probe as ProbeSpec } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import type { Probe } from './probe.ts';

/** Until it was ready once it is looked at this often, then less and less up to its interval. */
const EAGER_MS = 50;
/** A task that is only slow is taken out after this many silences in a row. */
const TIMEOUTS_MAX = 2;

export interface ReadinessMonitorDeps {
  readonly spec: ProbeSpec;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly initial: boolean;
  readonly onChange: (ready: boolean, output: string) => void;
}

/** Says whether a running task may get requests. Apart from its health: not ready is no failure. */
export class ReadinessMonitor {
  readonly #deps: ReadinessMonitorDeps;
  #ready: boolean;
  #timeouts = 0;
  #eagerMs = EAGER_MS;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(deps: ReadinessMonitorDeps) {
    this.#deps = deps;
    this.#ready = deps.initial;
    if (deps.initial) this.#eagerMs = Number.MAX_SAFE_INTEGER;
  }
  start(): void {
    void this.#look();
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
  async #look(): Promise<void> {
    const { spec, probe, clock, onChange } = this.#deps;
    const result = await probe(spec.timeoutMs || DEFAULTS.readyTimeoutMs);
    if (this.#stopped) return;
    this.#timeouts = result.timedOut ? this.#timeouts + 1 : 0;
    const ready = result.ok || (this.#ready && result.timedOut && this.#timeouts < TIMEOUTS_MAX);
    if (ready !== this.#ready) {
      this.#ready = ready;
      onChange(ready, result.output);
    }
    const intervalMs = spec.intervalMs || DEFAULTS.readyIntervalMs;
    this.#eagerMs = ready ? Number.MAX_SAFE_INTEGER : this.#eagerMs * 2;
    this.#timer = clock.setTimer(Math.min(intervalMs, this.#eagerMs), () => void this.#look());
  }
}
