import type { AssignedTask, PortBinding } from '../../../proto/index.ts';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { PullState } from '../../images/pull-progress.ts';
import { type Exit, RuntimeError } from '../../runtime.ts';

/** What a task does, as its test or simulation wants it. */
export interface FakeBehaviour {
  /** Stands for the pull of an image. */
  readonly fetch?: (tell: (state: PullState) => void) => Promise<void>;
  readonly prepareError?: RuntimeError;
  readonly startError?: RuntimeError;
  readonly startDelayMs?: number;
  /** Ends by itself after this long. */
  readonly exitAfterMs?: number;
  readonly exitCode?: number;
  /** Ends so for too much memory. */
  readonly oom?: boolean;
  /** Goes on at the stop signal, until it is killed. */
  readonly ignoresStop?: boolean;
  readonly probe?: { readonly code: number; readonly output: string };
}

interface FakeTask {
  readonly task: AssignedTask;
  readonly behaviour: FakeBehaviour;
  readonly ports: readonly PortBinding[];
  pid: number;
  exit: Exit | undefined;
  timer: Timer | undefined;
  readonly waiters: Set<(exit: Exit) => void>;
}

/** Called before each step that changes the machine; throws to end the daemon there. */
export type StepHook = (what: string) => void;

/** The part of a fake node that outlives its daemon: processes, ports and their ends. */
export class FakeMachine {
  readonly clock: Clock;
  readonly #behave: (task: AssignedTask) => FakeBehaviour;
  readonly #tasks = new Map<string, FakeTask>();
  readonly #started = new Map<string, number>();
  #nextPid = 100;
  #nextPort: number = LIMITS.taskPortMin;

  constructor(clock: Clock, behave: (task: AssignedTask) => FakeBehaviour = behaviourOf) {
    this.clock = clock;
    this.#behave = behave;
  }
  get ids(): readonly string[] {
    return [...this.#tasks.keys()];
  }
  /** How often processes were started for this task. */
  starts(id: string): number {
    return this.#started.get(id) ?? 0;
  }
  task(id: string): Readonly<FakeTask> | undefined {
    return this.#tasks.get(id);
  }
  isRunning(id: string): boolean {
    const task = this.#tasks.get(id);
    return task !== undefined && task.pid > 0 && task.exit === undefined;
  }
  async fetch(task: AssignedTask, tell: (state: PullState) => void): Promise<void> {
    await this.#behave(task).fetch?.(tell);
  }
  prepare(task: AssignedTask, host: string): void {
    if (this.#tasks.has(task.id)) return;
    const behaviour = this.#behave(task);
    if (behaviour.prepareError) throw behaviour.prepareError;
    const ports = task.ports.map(({ protocol, target }) => ({
      protocol,
      target,
      host,
      port: this.#nextPort++,
    }));
    const [pid, exit, timer] = [0, undefined, undefined];
    this.#tasks.set(task.id, { task, behaviour, ports, pid, exit, timer, waiters: new Set() });
  }
  start(id: string): void {
    const task = this.#need(id);
    if (task.pid > 0 || task.exit) return;
    if (task.behaviour.startError) throw task.behaviour.startError;
    task.pid = this.#nextPid++;
    this.#started.set(id, this.starts(id) + 1);
    const { exitAfterMs, exitCode = 0, oom = false } = task.behaviour;
    if (exitAfterMs === undefined) return;
    task.timer = this.clock.setTimer(exitAfterMs, () => this.end(id, exitCode, '', oom));
  }
  /** As the stop signal: true when it ends by it. */
  signal(id: string): boolean {
    if (this.#need(id).behaviour.ignoresStop === true) return false;
    this.end(id, 143, 'SIGTERM');
    return true;
  }
  kill(id: string): void {
    this.end(id, 137, 'SIGKILL');
  }
  end(id: string, code: number, signal = '', oom = false): void {
    const message = signal === '' ? `exit code ${code}` : `ended by ${signal}`;
    this.#finish(id, { code, signal, oom, lost: false, message });
  }
  /** It never began and never will. */
  cancel(id: string, message: string): void {
    this.#finish(id, { code: 137, signal: 'SIGKILL', oom: false, lost: false, message });
  }
  /** All processes are gone, and nobody saw how they ended. */
  reboot(): void {
    for (const id of this.#tasks.keys()) {
      const message = 'the machine restarted';
      this.#finish(id, { code: 137, signal: 'SIGKILL', oom: false, lost: true, message });
    }
  }
  exit(id: string): Exit | undefined {
    return this.#tasks.get(id)?.exit;
  }
  onExit(id: string, fn: (exit: Exit) => void): () => void {
    const { waiters } = this.#need(id);
    waiters.add(fn);
    return () => waiters.delete(fn);
  }
  remove(id: string): void {
    this.#tasks.get(id)?.timer?.cancel();
    this.#tasks.delete(id);
  }
  #finish(id: string, exit: Omit<Exit, 'atWallMs'>): void {
    const task = this.#tasks.get(id);
    if (!task || task.exit) return;
    task.timer?.cancel();
    task.exit = { ...exit, atWallMs: this.clock.wallMs() };
    for (const fn of [...task.waiters]) fn(task.exit);
  }
  #need(id: string): FakeTask {
    const task = this.#tasks.get(id);
    if (!task) throw new RuntimeError('IO', `task ${id} was never prepared`);
    return task;
  }
}

/** The command is a script of one line: `run`, `exit CODE [AFTER_MS]`, `stubborn`. */
export function behaviourOf(task: AssignedTask): FakeBehaviour {
  const [word, code = '0', afterMs = '0'] = task.spec?.process?.command ?? [];
  if (word === 'exit') return { exitCode: Number(code), exitAfterMs: Number(afterMs) };
  if (word === 'hungry') return { exitCode: 137, exitAfterMs: 50, oom: true };
  if (word === 'stubborn') return { ignoresStop: true };
  if (word === 'missing') {
    return { prepareError: new RuntimeError('COMMAND_NOT_FOUND', 'missing is not on this node') };
  }
  return {};
}
