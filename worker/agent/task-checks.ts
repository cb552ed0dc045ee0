import type { AssignedTask, HealthResult, TaskStatus } from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Random } from '../../shared/random.ts';
import { effectiveCheck } from '../health/effective-check.ts';
import { type Health, HealthMonitor } from '../health/health-monitor.ts';
import { makeProbe, type ProbeTarget } from '../health/probe.ts';
import { ReadinessMonitor } from '../health/readiness-monitor.ts';
import type { RuntimeStatus, TaskController } from '../runtime.ts';

export interface TaskChecksDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly task: AssignedTask;
  readonly controller: TaskController | undefined;
  readonly onHealth: (health: Health) => void;
  readonly onReady: (ready: boolean, output: string) => void;
}

/** Health and readiness of one task, as its spec asks for them. */
export class TaskChecks {
  readonly #deps: TaskChecksDeps;
  #health: HealthMonitor | undefined;
  #readiness: ReadinessMonitor | undefined;
  #verdict: Health = 'starting';
  #target: ProbeTarget | undefined;
  #stopped = false;

  constructor(deps: TaskChecksDeps) {
    this.#deps = deps;
  }
  /** True also where there is no check. */
  get healthy(): boolean {
    return this.#health === undefined || this.#verdict === 'healthy';
  }
  get readyAtOnce(): boolean {
    const spec = this.#deps.task.spec?.ready;
    return !spec || (spec.http === '' && spec.tcp === '');
  }
  /** The last five looks at its health, newest last. */
  get results(): readonly HealthResult[] {
    return this.#health?.results ?? [];
  }
  /** The task runs. `adopted`: it did already before this daemon came, and `status` is from then. */
  start(running: RuntimeStatus, status: TaskStatus, adopted: boolean): void {
    const { clock, random, task, controller } = this.#deps;
    this.#target = {
      clock,
      host: running.host,
      ports: running.ports,
      runCommand: async (command, timeoutMs) =>
        (await controller?.probeCommand(command, timeoutMs)) ?? { code: -1, output: '' },
    };
    const check = effectiveCheck(task.spec?.health ?? null, running.check);
    const probe = check && makeProbe(check, this.#target);
    if (check && probe) {
      this.#verdict = adopted && status.health === 'healthy' ? 'healthy' : 'starting';
      this.#health = new HealthMonitor({
        check,
        probe,
        clock,
        random,
        initial: this.#verdict,
        onChange: (health) => {
          this.#verdict = health;
          this.#deps.onHealth(health);
        },
      });
      this.#health.start();
    }
    if (adopted) this.watchReadiness(status.ready);
  }
  /** It is RUNNING: from now on requests may go to it. */
  watchReadiness(initial: boolean): void {
    const spec = this.#deps.task.spec?.ready;
    const probe = spec && this.#target && makeProbe(spec, this.#target);
    if (!spec || !probe || this.#stopped) return;
    this.#readiness = new ReadinessMonitor({
      spec,
      probe,
      clock: this.#deps.clock,
      initial,
      onChange: this.#deps.onReady,
    });
    this.#readiness.start();
  }
  stop(): void {
    this.#stopped = true;
    this.#health?.stop();
    this.#readiness?.stop();
  }
}
