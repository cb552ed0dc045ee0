import {
  AgentTaskRecord,
  type AssignedTask,
  HealthResult,
  TaskReport,
  TaskState,
  TaskStatus,
} from '../../proto/index.ts';
import { Backoff } from '../../shared/backoff.ts';
import { type Clock, delay, type Timer } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { isLogMistake, LOG_BOUNDS, type LogBounds, logBounds } from '../../shared/log-options.ts';
import type { Random } from '../../shared/random.ts';
import type { PullState } from '../images/pull-progress.ts';
import type { TaskLogs } from '../logs/task-logs.ts';
import type { Network } from '../network/network.ts';
import { type Exit, RuntimeError, type TaskController } from '../runtime.ts';
import { untilDrained } from './drain.ts';
import { diskFullText, isDiskFull, isMissing } from './full-disk.ts';
import type { Gate } from './gate.ts';
import type { LocalStore } from './local-store.ts';
import type { RecordFile } from './record-file.ts';
import type { NumberedReport, Reporter } from './reporter.ts';
import { type Action, step } from './step.ts';
import { TaskChecks } from './task-checks.ts';
import type { TaskAccess } from './task-stream.ts';

/** What all tasks of one agent share. */
export interface RunnerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: LocalStore;
  readonly reporter: Reporter;
  readonly logs: TaskLogs;
  readonly network: Network;
  readonly starts: Gate;
  /** Undefined: this node has no runtime for such a task. */
  readonly controller: (task: AssignedTask) => TaskController | undefined;
  readonly onForgotten: (taskId: string) => void;
}

const LAST_LINES = 5;
const RETRY_MS = 1_000;
const PULL_SAID_MS = 1_000;

/** One task from its order to its end: asks `step` what comes next, does it, writes it down. */
export class TaskRunner {
  readonly id: string;
  readonly #deps: RunnerDeps;
  readonly #file: RecordFile<AgentTaskRecord>;
  readonly #controller: TaskController | undefined;
  readonly #checks: TaskChecks;
  readonly #closing = new AbortController();
  #record: AgentTaskRecord;
  #running = false;
  #exit: Exit | undefined;
  #pullSaidMs = 0;
  #pullTimer: Timer | undefined;
  #committed: boolean;
  #historyGone = false;
  #step = new AbortController();
  #change: (() => void) | undefined;
  #changed = false;
  readonly #endWaiters: (() => void)[] = [];
  #done: Promise<void> = Promise.resolve();

  constructor(deps: RunnerDeps, record: AgentTaskRecord) {
    this.#deps = deps;
    this.id = record.task!.id;
    this.#record = record;
    this.#committed = record.sequence === 0;
    this.#file = deps.store.taskFile(this.id);
    this.#controller = deps.controller(record.task!);
    this.#checks = new TaskChecks({
      clock: deps.clock,
      random: deps.random,
      task: record.task!,
      controller: this.#controller,
      onHealth: (health) => this.#healthChanged(health),
      onReady: (ready, output) => this.#readyChanged(ready, output),
    });
  }
  get task(): AssignedTask {
    return this.#record.task!;
  }
  get status(): TaskStatus {
    return this.#record.status!;
  }
  get report(): NumberedReport {
    const report = TaskReport.create({ taskId: this.id, status: this.status });
    return { report, sequence: this.#record.sequence };
  }
  get removed(): boolean {
    return this.#record.removed;
  }
  /** It is not prepared yet, and for that needs what is on no disk. */
  get lacksSecrets(): boolean {
    return this.task.registryAuth !== null && this.status.state < TaskState.READY;
  }
  /** Managers refuse what is no driver. */
  get #logBounds(): LogBounds {
    const bounds = logBounds(this.task.spec?.logDriver);
    return isLogMistake(bounds) ? LOG_BOUNDS : bounds;
  }
  get uncommitted(): boolean {
    return !this.#committed;
  }
  /** `exit`: how it ended while no daemon was there. Runs until `close` or the task is forgotten. */
  start(exit: Exit | undefined): void {
    this.#exit = exit;
    if (this.status.state < TaskState.COMPLETE) this.#deps.logs.attach(this.id, this.#logBounds);
    this.#done = this.#run().catch((error) => {
      if (!this.#closing.signal.aborted) {
        this.#deps.log.error({ task: this.id, error: messageOf(error) }, 'task runner failed');
      }
    });
  }
  /** The daemon ends; the task does not. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#step.abort();
    this.#checks.stop();
    this.#notify();
    await this.#done;
  }
  /** Resolves when it has come to a final state. */
  ended(): Promise<void> {
    if (this.status.state >= TaskState.COMPLETE) return Promise.resolve();
    return new Promise((resolve) => this.#endWaiters.push(resolve));
  }
  /**
   * For who looks into it. Throws SwarmError PRECONDITION when it does not run; `ended`: what it has left
   * will do as well.
   */
  access(ended = false): TaskAccess {
    const { state } = this.status;
    const controller = this.#controller;
    const newest = ended ? TaskState.FAILED : TaskState.RUNNING;
    if (!controller || state < TaskState.STARTING || state > newest) {
      throw new SwarmError('PRECONDITION', `Task ${this.id} does not run.`);
    }
    return {
      controller,
      ended: async (signal) => (await controller.wait(signal)).code,
      output: (signal) => this.#deps.logs.output(this.id, signal),
    };
  }
  /** A newer order. */
  assign(task: AssignedTask): void {
    this.#setRecord({ task, removed: false });
  }
  /** No manager knows the task any more. */
  dismiss(): void {
    if (this.#record.removed) return;
    // It had ended and was history, and now is not even that.
    this.#historyGone = this.status.state >= TaskState.COMPLETE;
    this.#setRecord({ removed: true });
  }
  /** It has ended: what the runtime keeps of it goes; its record and its logs stay. */
  async release(): Promise<void> {
    await this.#controller?.remove();
  }
  /** The agent's own decision. */
  stopAs(state: TaskState, message: string): void {
    if (this.#record.endAs !== TaskState.NEW || this.status.state >= TaskState.COMPLETE) return;
    this.#setRecord({ endAs: state, endMessage: message });
  }
  /** The leader has committed all statuses up to this number. */
  committed(sequence: number): void {
    if (this.#committed || this.#record.sequence > sequence) return;
    this.#committed = true;
    this.#notify();
  }
  #setRecord(patch: Partial<AgentTaskRecord>): void {
    this.#record = AgentTaskRecord.with(this.#record, patch);
    try {
      this.#file.write(this.#record);
    } catch (error) {
      // An order is carried out all the same; it comes again to a daemon that does not know it. A
      // refused task may have no folder.
      if (!isDiskFull(error) && !isMissing(error)) throw error;
      this.#deps.log.error({ task: this.id, error: messageOf(error) }, 'record not written');
    }
    if (this.#stopping()) this.#step.abort();
    this.#notify();
  }
  #stopping(): boolean {
    const { removed, endAs, task } = this.#record;
    return removed || endAs !== TaskState.NEW || task!.desiredState >= TaskState.SHUTDOWN;
  }
  async #run(): Promise<void> {
    while (!this.#closing.signal.aborted) {
      this.#changed = false;
      const action = this.#next();
      if (action.do === 'forget') return this.#forget();
      try {
        await this.#perform(action);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        // The disk refuses: the task itself goes on, and what was to be done is tried again.
        this.#deps.log.error({ task: this.id, error: messageOf(error) }, 'task step failed');
        this.#waiting(isDiskFull(error) ? diskFullText(error) : messageOf(error));
        await Promise.race([delay(this.#deps.clock, RETRY_MS), this.#closed()]);
      }
    }
  }
  #closed(): Promise<void> {
    const { signal } = this.#closing;
    return new Promise((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
  /** For what may be lost with the disk, because it is found out again. */
  #save(): void {
    try {
      this.#file.write(this.#record);
    } catch (error) {
      this.#deps.log.error({ task: this.id, error: messageOf(error) }, 'record not written');
    }
  }
  #next(): Action {
    return step({
      state: this.status.state,
      desired: this.task.desiredState,
      removed: this.#record.removed,
      endAs: this.#record.endAs,
      endMessage: this.#record.endMessage,
      running: this.#running,
      healthy: this.#checks.healthy,
      exit: this.#exit,
      committed: this.#committed,
    });
  }
  async #perform(action: Exclude<Action, { do: 'forget' }>): Promise<void> {
    switch (action.do) {
      case 'rest':
      case 'watch':
        return this.#untilChanged();
      case 'enter':
        return this.#enter(action.state);
      case 'prepare':
        return this.#attempt('prepare', () => this.#prepare());
      case 'start':
        return this.#attempt('start', () => this.#start());
      case 'stop':
        return this.#attempt('stop', () => this.#stop());
      case 'end':
        return this.#end(action.state, action.message);
    }
  }
  async #enter(state: TaskState): Promise<void> {
    if (state === TaskState.STARTING) {
      // On the disk before anything of it can run.
      this.#setStatus({ state, message: 'starting' }, false);
      await Promise.all([this.#file.writeDurably(this.#record), this.#deps.store.syncFolders()]);
      return;
    }
    if (state === TaskState.RUNNING) {
      const ready = this.#checks.readyAtOnce;
      this.#setStatus({ state, message: this.status.message, ready }, true);
      this.#save();
      this.#checks.watchReadiness(false);
      return;
    }
    this.#setStatus({ state, message: STATE_MESSAGES.get(state) ?? '' }, false);
  }
  async #prepare(): Promise<void> {
    const controller = this.#needController();
    const { signal } = this.#step;
    this.#pullSaidMs = this.#deps.clock.monotonicMs();
    // Not in line with the starts: a registry that is slow holds up nobody else.
    const fetched = controller.fetch?.(signal, (state) => this.#pulling(state));
    await fetched?.finally(() => this.#pullTimer?.cancel());
    await this.#deps.starts.run(() => controller.prepare(signal));
    const { ports } = await controller.status();
    const waits = this.task.desiredState < TaskState.RUNNING;
    const state = TaskState.READY;
    this.#setStatus({ state, message: 'prepared', err: '', ports, pid: 0 }, waits);
    // Who starts at once is written down with that; until then, preparing again finds all of it there.
    if (waits) this.#save();
  }
  /** Said at most once in a while, the newest in the end; what is there at once is not worth a word. */
  #pulling({ message, layers }: PullState): void {
    const { clock } = this.#deps;
    this.#pullTimer?.cancel();
    const say = (): void => {
      if (this.#closing.signal.aborted || this.status.state !== TaskState.PREPARING) return;
      this.#pullSaidMs = clock.monotonicMs();
      const { atWallMs } = this.status;
      this.#setStatus({ message, layers, atWallMs }, false);
    };
    const waitMs = this.#pullSaidMs + PULL_SAID_MS - clock.monotonicMs();
    const isDone = layers.length > 0 && layers.every(({ what }) => what === 'done');
    if (waitMs <= 0 || isDone) say();
    else this.#pullTimer = clock.setTimer(waitMs, say);
  }
  async #start(): Promise<void> {
    const controller = this.#needController();
    const adopted = this.status.state === TaskState.RUNNING;
    if (!adopted) {
      await this.#deps.starts.run(async () => {
        await controller.prepare(this.#step.signal);
        await controller.start(this.#step.signal);
      });
    }
    const running = await controller.status();
    const { pid, ports, warning } = running;
    this.#running = true;
    void this.#awaitExit(controller);
    if (!adopted) this.#setStatus({ pid, ports, warning, message: 'started', err: '' }, false);
    this.#checks.start(running, this.status, adopted);
    if (!adopted && !this.#checks.healthy) this.#setStatus({ health: 'starting' }, false);
  }
  async #awaitExit(controller: TaskController): Promise<void> {
    try {
      this.#exit = await controller.wait(this.#closing.signal);
      this.#checks.stop();
      this.#notify();
    } catch (error) {
      if (this.#closing.signal.aborted) return;
      this.#deps.log.error(
        { task: this.id, error: messageOf(error) },
        'waiting for the task failed',
      );
    }
  }
  async #stop(): Promise<void> {
    const controller = this.#needController();
    const signal = this.#closing.signal;
    if (this.#record.endAs === TaskState.NEW && this.status.state === TaskState.RUNNING) {
      const hasEnded = (): boolean => this.#exit !== undefined;
      await untilDrained(this.#deps, this.task, this.status.pid, hasEnded, signal);
    }
    this.#checks.stop();
    await controller.shutdown(signal);
    this.#exit = await controller.wait(signal);
  }
  /** `code`: where it never ran, so that nothing else says one. */
  async #end(state: TaskState, message: string, code = 0): Promise<void> {
    const exit = this.#exit;
    this.#checks.stop();
    this.#deps.logs.detach(this.id, this.#logBounds);
    const failed = state === TaskState.FAILED || state === TaskState.REJECTED;
    const lastLines = this.lastLines(LAST_LINES);
    const outputs = this.#outputs();
    this.#setStatus(
      {
        state,
        message,
        err: failed ? message : '',
        exitCode: exit?.code ?? code,
        signal: exit?.signal ?? '',
        oom: exit?.oom ?? false,
        lost: exit?.lost ?? false,
        ready: false,
        lastOutput: failed && outputs.length === 0 ? lastLines : outputs,
        healthLog: this.#healthLog(),
        lastLines,
        ...(exit ? { atWallMs: exit.atWallMs } : {}),
      },
      true,
    );
    try {
      await this.#file.writeDurably(this.#record);
    } finally {
      for (const resolve of this.#endWaiters.splice(0)) resolve();
    }
  }
  async #forget(): Promise<void> {
    await this.#attempt('remove', async () => this.#controller?.remove());
    this.#deps.store.removeTask(this.id);
    const history = !this.#historyGone && this.task.desiredState < TaskState.REMOVE;
    if (!history) this.#deps.logs.remove(this.id);
    this.#deps.onForgotten(this.id);
  }
  /** Temporary failures are tried again with back-off, others end the task. */
  async #attempt(
    what: 'prepare' | 'start' | 'stop' | 'remove',
    fn: () => Promise<void>,
  ): Promise<void> {
    const backoff = new Backoff(this.#deps.random, 100, 5_000);
    for (let tries = 1; ; tries++) {
      this.#step = new AbortController();
      if (this.#closing.signal.aborted) return;
      try {
        return await fn();
      } catch (error) {
        if (this.#closing.signal.aborted || this.#step.signal.aborted) return;
        const temporary = what === 'stop' || (error instanceof RuntimeError && error.temporary);
        this.#deps.log.warn({ task: this.id, what, error: messageOf(error) }, 'task step failed');
        if (what === 'remove') return;
        if (!temporary || (tries >= LIMITS.temporaryRetriesMax && what !== 'stop')) {
          return this.#failed(error);
        }
        if (what !== 'stop') this.#waiting(messageOf(error));
        this.#changed = false;
        await Promise.race([delay(this.#deps.clock, backoff.nextDelayMs()), this.#untilChanged()]);
        if (this.#stopping() && what !== 'stop') return;
      }
    }
  }
  /** Why the last try failed is told until one succeeds, whatever the next is at: it may take minutes. */
  #waiting(why: string): void {
    const { state, atWallMs } = this.status;
    if (state >= TaskState.RUNNING) return;
    this.#setStatus({ message: 'it is tried again', err: why, layers: [], atWallMs }, false);
  }
  async #failed(error: unknown): Promise<void> {
    const started = this.status.state >= TaskState.STARTING;
    const code = error instanceof RuntimeError ? (START_CODES[error.code] ?? 0) : 0;
    const state = started ? TaskState.FAILED : TaskState.REJECTED;
    await this.#end(state, messageOf(error), started ? code : 0);
  }
  /** What it wrote last, each line cut to what people look at. */
  lastLines(count: number): readonly string[] {
    const lines = this.#deps.logs.lastLines(this.id, count);
    return lines.map((line) => line.slice(0, LIMITS.lastLineCharsMax));
  }
  /** Its status with what is known beyond what the managers keep. */
  detailedStatus(lines: number): TaskStatus {
    if (this.status.state >= TaskState.COMPLETE) return this.status;
    const lastLines = this.lastLines(lines);
    return TaskStatus.with(this.status, { healthLog: this.#checks.results, lastLines });
  }
  #outputs(): readonly string[] {
    return this.#healthLog().map(({ output }) => output);
  }
  /** As the managers keep it, of all tasks: cut. */
  #healthLog(): readonly HealthResult[] {
    const max = LIMITS.healthOutputCharsKept;
    return this.#checks.results.map((result) =>
      HealthResult.with(result, { output: result.output.slice(0, max) }),
    );
  }
  #healthChanged(health: string): void {
    if (this.status.state >= TaskState.COMPLETE) return;
    const outputs = this.#outputs();
    this.#setStatus({ health, lastOutput: outputs, healthLog: this.#healthLog() }, true);
    this.#save();
    if (health === 'unhealthy') {
      this.stopAs(TaskState.FAILED, `unhealthy: ${outputs.at(-1) ?? ''}`);
    }
    this.#notify();
  }
  #readyChanged(ready: boolean, output: string): void {
    if (this.status.state !== TaskState.RUNNING || this.status.ready === ready) return;
    const message = ready ? 'ready' : `not ready: ${output}`;
    this.#setStatus({ ready, message }, true);
    this.#save();
  }
  #setStatus(patch: Partial<TaskStatus>, urgent: boolean): void {
    const atWallMs = this.#deps.clock.wallMs();
    this.#record = AgentTaskRecord.with(this.#record, {
      status: TaskStatus.with(this.status, { atWallMs, ...patch }),
      sequence: this.#deps.reporter.next(),
    });
    this.#committed = false;
    this.#deps.reporter.changed(this.id, urgent);
  }
  #needController(): TaskController {
    if (this.#controller) return this.#controller;
    throw new RuntimeError('UNSUPPORTED', 'this node has no runtime for this task');
  }
  #notify(): void {
    this.#changed = true;
    this.#change?.();
  }
  #untilChanged(): Promise<void> {
    if (this.#changed || this.#closing.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#change = resolve;
    });
  }
}

/** As a shell, and Docker, number what could not be run. */
const START_CODES: { readonly [code: string]: number } = {
  COMMAND_NOT_FOUND: 127,
  NOT_EXECUTABLE: 126,
};
const STATE_MESSAGES: ReadonlyMap<TaskState, string> = new Map([
  [TaskState.ACCEPTED, 'accepted'],
  [TaskState.PREPARING, 'preparing'],
]);
