import type { Socket } from 'node:net';
import { type AssignedTask, type ExecRequest, TaskUsage } from '../../../proto/index.ts';
import { delay } from '../../../shared/clock.ts';
import type { PullState } from '../../images/pull-progress.ts';
import {
  type AdoptedTask,
  type AttachSession,
  type ExecSession,
  type Exit,
  type FilesSession,
  type Runtime,
  RuntimeError,
  type RuntimeFeatures,
  type RuntimeStatus,
  type TaskController,
} from '../../runtime.ts';
import { connectTo } from '../connect-to.ts';
import { FakeExec } from './fake-exec.ts';
import type { FakeMachine, StepHook } from './fake-machine.ts';

/** Tasks that exist in memory alone, on a machine that outlives this runtime. */
export class FakeRuntime implements Runtime {
  readonly name = 'fake';
  readonly #machine: FakeMachine;
  readonly #host: string;
  readonly #hook: StepHook;

  constructor(machine: FakeMachine, host = '127.0.0.1', hook: StepHook = () => undefined) {
    this.#machine = machine;
    this.#host = host;
    this.#hook = hook;
  }
  async probe(): Promise<RuntimeFeatures> {
    return { runtime: 'fake', features: { limits: 'full', pidns: 'yes', users: 'any' } };
  }
  async open(): Promise<void> {}
  async close(): Promise<void> {}
  async list(): Promise<readonly AdoptedTask[]> {
    return this.#machine.ids
      .filter((id) => (this.#machine.task(id)?.pid ?? 0) > 0 || this.#machine.exit(id))
      .map((id) => ({
        taskId: id,
        running: this.#machine.isRunning(id),
        exit: this.#machine.exit(id),
      }));
  }
  controller(task: AssignedTask): TaskController {
    return new FakeController(this.#machine, task, this.#host, this.#hook);
  }
  async usage(tasks: readonly AssignedTask[]): Promise<readonly TaskUsage[]> {
    const running = tasks.filter(({ id }) => this.#machine.isRunning(id));
    return running.map(({ id }) =>
      TaskUsage.create({ taskId: id, cpuNanos: 1_000, memoryBytes: 1 << 20, processes: 1 }),
    );
  }
}

class FakeController implements TaskController {
  readonly #machine: FakeMachine;
  readonly #task: AssignedTask;
  readonly #host: string;
  readonly #hook: StepHook;

  constructor(machine: FakeMachine, task: AssignedTask, host: string, hook: StepHook) {
    this.#machine = machine;
    this.#task = task;
    this.#host = host;
    this.#hook = hook;
  }
  fetch(_signal: AbortSignal, tell: (state: PullState) => void): Promise<void> {
    return this.#machine.fetch(this.#task, tell);
  }
  async prepare(): Promise<void> {
    this.#hook('prepare');
    this.#machine.prepare(this.#task, this.#host);
  }
  async start(signal: AbortSignal): Promise<void> {
    const { id } = this.#task;
    const delayMs = this.#machine.task(id)?.behaviour.startDelayMs ?? 0;
    if (delayMs > 0) await delay(this.#machine.clock, delayMs);
    signal.throwIfAborted();
    this.#hook('start');
    if (this.#machine.exit(id)?.message === CANCELLED) {
      throw new RuntimeError('LOST', 'it was stopped before it started');
    }
    this.#machine.start(id);
  }
  wait(signal: AbortSignal): Promise<Exit> {
    return new Promise((resolve, reject) => {
      const exit = this.#machine.exit(this.#task.id);
      if (exit) return resolve(exit);
      const off = this.#machine.onExit(this.#task.id, resolve);
      signal.addEventListener(
        'abort',
        () => {
          off();
          reject(signal.reason);
        },
        { once: true },
      );
    });
  }
  async shutdown(signal: AbortSignal): Promise<void> {
    const { id, spec } = this.#task;
    if (await this.#cancelled()) return;
    this.#hook('signal');
    if (!this.#machine.exit(id) && !this.#machine.signal(id)) {
      await delay(this.#machine.clock, spec?.process?.stopGraceMs ?? 0);
      signal.throwIfAborted();
    }
    await this.terminate();
  }
  async terminate(): Promise<void> {
    if (await this.#cancelled()) return;
    this.#hook('kill');
    this.#machine.kill(this.#task.id);
  }
  async remove(): Promise<void> {
    if (this.#machine.isRunning(this.#task.id)) {
      throw new RuntimeError('NOT_ALLOWED', `task ${this.#task.id} still runs: shut it down first`);
    }
    this.#hook('remove');
    this.#machine.remove(this.#task.id);
  }
  async status(): Promise<RuntimeStatus> {
    const task = this.#machine.task(this.#task.id);
    return { pid: task?.pid ?? 0, ports: task?.ports ?? [], warning: '', host: this.#host };
  }
  async probeCommand(): Promise<{ code: number; output: string }> {
    return this.#machine.task(this.#task.id)?.behaviour.probe ?? { code: 0, output: '' };
  }
  async exec(request: ExecRequest): Promise<ExecSession> {
    this.#needRunning();
    return new FakeExec(request);
  }
  async attach(): Promise<AttachSession> {
    this.#needRunning();
    return {
      terminal: false,
      stdin: undefined,
      resize: () => undefined,
      signal: async (name) => {
        if (name === 'SIGKILL') this.#machine.kill(this.#task.id);
        else this.#machine.signal(this.#task.id);
      },
      close: () => undefined,
    };
  }
  async dial(port: number): Promise<Socket> {
    this.#needRunning();
    return connectTo('127.0.0.1', port);
  }
  async files(): Promise<FilesSession> {
    this.#needRunning();
    const done = Promise.resolve();
    const close = (): void => undefined;
    return { file: undefined, stdout: undefined, stdin: undefined, done, close };
  }
  #needRunning(): void {
    if (this.#machine.isRunning(this.#task.id)) return;
    throw new RuntimeError('NOT_RUNNING', `task ${this.#task.id} does not run any more`);
  }
  /** Never started: from now on it never will be. */
  async #cancelled(): Promise<boolean> {
    const { id } = this.#task;
    const task = this.#machine.task(id);
    if (task && task.pid > 0) return false;
    this.#hook('cancel');
    if (!task) this.#machine.prepare(this.#task, this.#host);
    this.#machine.cancel(id, CANCELLED);
    return true;
  }
}

const CANCELLED = 'cancelled before it started';
