import { type HealthCheck, HealthResult } from '../../proto/index.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import type { Probe, ProbeResult } from './probe.ts';

export type Health = 'starting' | 'healthy' | 'unhealthy';
const RESULTS_KEPT = 5;

export interface HealthMonitorDeps {
  readonly check: HealthCheck;
  readonly probe: Probe;
  readonly clock: Clock;
  readonly random: Random;
  /** What is known from before a restart of the daemon. */
  readonly initial: Health;
  readonly onChange: (health: Health) => void;
}

/** Everything the verdict depends on. */
export interface HealthState {
  readonly health: Health;
  /** Failures in a row that count. */
  readonly failures: number;
  /** Within the start period, and no probe has succeeded yet: failures don't count. */
  readonly grace: boolean;
}

/** Docker's verdict on one more result. `retries` failures in a row make it unhealthy. */
function judge(state: HealthState, ok: boolean, retries: number): HealthState {
  if (ok) return { health: 'healthy', failures: 0, grace: false };
  if (state.grace && state.health === 'starting') return state;
  const failures = state.failures + 1;
  return { ...state, failures, health: failures >= retries ? 'unhealthy' : state.health };
}

/**
 * Looks at a running task again and again, one probe at a time. The interval is counted from the
 * end of a probe; while it starts, within the start period, the start interval holds.
 */
export class HealthMonitor {
  readonly #deps: HealthMonitorDeps;
  readonly #startedMs: number;
  readonly #results: HealthResult[] = [];
  #state: HealthState;
  #timer: Timer | undefined;
  #stopped = false;

  constructor(deps: HealthMonitorDeps) {
    this.#deps = deps;
    this.#startedMs = deps.clock.monotonicMs();
    const grace = deps.check.startPeriodMs > 0 && deps.initial === 'starting';
    this.#state = { health: deps.initial, failures: 0, grace };
  }
  /** The last five, newest last. */
  get results(): readonly HealthResult[] {
    return [...this.#results];
  }
  start(): void {
    this.#schedule();
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
  #schedule(): void {
    const { check, clock, random } = this.#deps;
    const grace = this.#inGrace();
    const intervalMs = grace
      ? check.startIntervalMs || DEFAULTS.healthStartIntervalMs
      : check.intervalMs || DEFAULTS.healthIntervalMs;
    // A tenth of jitter, so that tasks which started together are not probed together for ever.
    const jitterMs = random.below(Math.floor(intervalMs / 10) + 1);
    this.#timer = clock.setTimer(intervalMs - jitterMs, () => void this.#look());
  }
  #inGrace(): boolean {
    const { check, clock } = this.#deps;
    return this.#state.grace && clock.monotonicMs() - this.#startedMs < check.startPeriodMs;
  }
  async #look(): Promise<void> {
    const { check, probe, clock, onChange } = this.#deps;
    const startWallMs = clock.wallMs();
    const result = await probe(check.timeoutMs || DEFAULTS.healthTimeoutMs);
    if (this.#stopped) return;
    this.#remember(result, startWallMs);
    const before = this.#state;
    const counted = { ...before, grace: this.#inGrace() };
    this.#state = judge(counted, result.ok, check.retries || DEFAULTS.healthRetries);
    if (this.#state.health !== before.health) onChange(this.#state.health);
    if (!this.#stopped) this.#schedule();
  }
  #remember({ code: exitCode, output }: ProbeResult, startWallMs: number): void {
    const endWallMs = this.#deps.clock.wallMs();
    this.#results.push(HealthResult.create({ startWallMs, endWallMs, exitCode, output }));
    if (this.#results.length > RESULTS_KEPT) this.#results.shift();
  }
}
