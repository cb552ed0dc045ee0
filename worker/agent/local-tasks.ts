import {
  AgentTaskRecord,
  type AssignedTask,
  LocalTask,
  type TaskReport,
  TaskState,
  TaskStatus,
} from '../../proto/index.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { isPathName } from '../../shared/ids.ts';
import type { Exit, RuntimeVolumes } from '../runtime.ts';
import { diskFullText, isDiskFull } from './full-disk.ts';
import type { NumberedReport } from './reporter.ts';
import { type RunnerDeps, TaskRunner } from './task-runner.ts';

/** The tasks of this node, each with the runner that carries its orders out. */
export class LocalTasks {
  readonly #deps: RunnerDeps;
  readonly #runners = new Map<string, TaskRunner>();

  constructor(deps: RunnerDeps) {
    const onForgotten = (taskId: string): void => {
      this.#runners.delete(taskId);
      deps.onForgotten(taskId);
    };
    this.#deps = { ...deps, onForgotten };
  }
  /** Takes up what is on disk; `held`: ids of the tasks that runtimes still have. */
  load(held: ReadonlySet<string>): void {
    for (const record of this.#deps.store.loadTasks()) this.#adopt(record, held);
  }
  get all(): readonly TaskRunner[] {
    return [...this.#runners.values()];
  }
  /** Those that no manager has told to go. */
  get wanted(): readonly TaskRunner[] {
    return this.all.filter((runner) => !runner.removed);
  }
  /** Those that have not ended. */
  get live(): readonly TaskRunner[] {
    return this.all.filter(({ status }) => status.state < TaskState.COMPLETE);
  }
  find(taskId: string): TaskRunner | undefined {
    return this.#runners.get(taskId);
  }
  /** Throws SwarmError NOT_FOUND. */
  get(taskId: string): TaskRunner {
    const runner = this.#runners.get(taskId);
    if (runner !== undefined) return runner;
    throw new SwarmError('NOT_FOUND', `This node has no task ${taskId}.`);
  }
  report(taskId: string): NumberedReport | undefined {
    return this.#runners.get(taskId)?.report;
  }
  reports(): TaskReport[] {
    return this.all.map((runner) => runner.report.report);
  }

  /**
   * Carries out an order. False: it is a new task that cannot be written down, so it is refused; it
   * runs elsewhere, and this node goes on. Throws what else the disk says.
   */
  take(task: AssignedTask): boolean {
    try {
      this.#order(task);
      return true;
    } catch (error) {
      if (!isDiskFull(error) || this.#runners.has(task.id)) throw error;
      this.#refuse(task, diskFullText(error));
      return false;
    }
  }
  #order(task: AssignedTask): void {
    const known = this.#runners.get(task.id);
    if (known) {
      known.assign(task);
      return;
    }
    if (!isPathName(task.id)) throw new SwarmError('INVALID_ARGUMENT', 'an order without an id');
    const { store } = this.#deps;
    store.addTask(task.id);
    const status = TaskStatus.create({ id: task.id, state: TaskState.ASSIGNED });
    const record = AgentTaskRecord.create({ task, status });
    store.taskFile(task.id).write(record);
    this.#run(record);
  }
  #refuse(task: AssignedTask, err: string): void {
    const { clock, reporter } = this.#deps;
    const { id } = task;
    const state = TaskState.REJECTED;
    const atWallMs = clock.wallMs();
    const status = TaskStatus.create({ id, state, message: err, err, atWallMs });
    this.#run(AgentTaskRecord.create({ task, status, sequence: reporter.next() }));
    reporter.changed(id, true);
  }
  #adopt(record: AgentTaskRecord, held: ReadonlySet<string>): void {
    this.#deps.reporter.resumeAfter(record.sequence);
    const ran = record.status!.state === TaskState.RUNNING;
    const isLost = ran && !held.has(record.task!.id);
    this.#run(record, isLost ? lostExit(this.#deps.clock.wallMs()) : undefined);
  }
  #run(record: AgentTaskRecord, exit?: Exit): void {
    const runner = new TaskRunner(this.#deps, record);
    this.#runners.set(runner.id, runner);
    runner.start(exit);
  }

  /** Stops every task and resolves when none is left. */
  async stop(message: string): Promise<void> {
    for (const runner of this.all) runner.stopAs(TaskState.SHUTDOWN, message);
    await Promise.all(this.all.map((runner) => this.#clearAway(runner)));
  }
  async #clearAway(runner: TaskRunner): Promise<void> {
    await runner.ended();
    await runner.release().catch((error) => {
      const what = { task: runner.id, error: messageOf(error) };
      this.#deps.log.warn(what, 'task not cleared away');
    });
  }
  /** The daemon ends; every task goes on. */
  async close(): Promise<void> {
    await Promise.all(this.all.map((runner) => runner.close()));
  }

  /** Digests that tasks here need, and that their services may go back to. */
  keptImages(): ReadonlySet<string> {
    return new Set(this.live.flatMap(({ task }) => task.keptImages));
  }
  /** Names of the tasks that have this volume. */
  usersOf(volumes: RuntimeVolumes, name: string): readonly string[] {
    return this.live
      .filter(({ task }) => task.spec?.container && volumes.namesOf(task).includes(name))
      .map(({ task }) => (task.slot > 0 ? `${task.serviceName}.${task.slot}` : task.serviceName));
  }
  describe(): readonly LocalTask[] {
    return this.all.map(({ task, status }) =>
      LocalTask.create({
        id: task.id,
        serviceName: task.serviceName,
        slot: task.slot,
        desiredState: task.desiredState,
        status,
      }),
    );
  }
}

function lostExit(atWallMs: number): Exit {
  const message = 'nothing of it was found after a restart of the machine';
  return { code: 137, signal: 'SIGKILL', oom: false, atWallMs, message, lost: true };
}
