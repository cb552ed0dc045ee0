import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { AssignedTask, ExecRequest, FilesRequest } from '../../../proto/index.ts';
import { delay } from '../../../shared/clock.ts';
import { messageOf } from '../../../shared/errors.ts';
import { LIMITS } from '../../../shared/limits.ts';
import {
  type AttachSession,
  type ExecSession,
  type Exit,
  type FilesSession,
  RuntimeError,
  type RuntimeStatus,
  type TaskController,
} from '../../runtime.ts';
import { cancelledExit, exitOf, lostExit } from './exit.ts';
import { isSame } from './identity.ts';
import {
  attachToProcess,
  dialProcess,
  execInProcess,
  filesOfProcess,
  runningProcess,
} from './inside.ts';
import { type Plan, planTask } from './plan.ts';
import type { ProcessShared } from './process-shared.ts';
import type { UsageRoot } from './process-usage.ts';
import {
  cancel,
  type Prepared,
  readClaim,
  readPrepared,
  readTask,
  removeRunFiles,
  writePrepared,
} from './run-files.ts';
import { supervisorArgs } from './supervisor.ts';
import { EXEC_MARK, TASK_MARK } from './sweep.ts';

/** How long a supervisor may take for a step of its own before it is taken for broken. */
const SUPERVISOR_MS = 5_000;

export class ProcessController implements TaskController {
  readonly #shared: ProcessShared;
  readonly #task: AssignedTask;
  readonly #base: string;

  constructor(shared: ProcessShared, task: AssignedTask) {
    this.#shared = shared;
    this.#task = task;
    this.#base = shared.run.base(task.id);
  }
  async prepare(): Promise<void> {
    const { io, run, boot, ports, units, publishHost } = this.#shared;
    const before = readPrepared(io, this.#base);
    if (before?.boot === boot || run.entry(this.#task.id).claimed) return;
    this.#plan({ boot, ports: [], listenHost: publishHost, pidNamespace: false });
    const held = units.take(this.#task.id, this.#task.spec?.reservations?.generic ?? {});
    try {
      const reserved = await ports.reserve(this.#task.id, publishHost, this.#task.ports);
      writePrepared(io, this.#base, {
        boot,
        ...reserved,
        pidNamespace: this.#shared.pidNamespace !== undefined,
        units: held.env,
      });
    } catch (error) {
      units.release(this.#task.id);
      throw error;
    }
    run.note(this.#task.id, 'json');
  }
  async start(signal: AbortSignal): Promise<void> {
    const { run } = this.#shared;
    const id = this.#task.id;
    const spawned: Spawned = { ended: false, error: undefined };
    if (!run.entry(id).claimed) this.#spawn(spawned);
    for (;;) {
      if (this.#hasStarted(spawned)) break;
      await run.changed(id, signal);
    }
    run.follow(id, readClaim(this.#shared.io, this.#base)?.pid ?? 0);
  }
  async wait(signal: AbortSignal): Promise<Exit> {
    const { run } = this.#shared;
    for (;;) {
      const exit = this.exitNow();
      if (exit) {
        await this.#settle();
        return exit;
      }
      await run.changed(this.#task.id, signal);
    }
  }
  async shutdown(signal: AbortSignal): Promise<void> {
    if (this.#cancel()) return;
    const { io } = this.#shared;
    await this.#untilStarted();
    const task = readTask(io, this.#base);
    const plan = this.#stopRule();
    if (this.exitNow() === undefined && task && isSame(io, task)) {
      io.kill(task.pid, plan.stopSignal);
      // A stopped process takes its signal only when it goes on.
      io.kill(task.pid, 'SIGCONT');
      await this.#exitWithin(plan.stopGraceMs, signal);
    }
    await this.terminate();
  }
  async terminate(): Promise<void> {
    if (this.#cancel()) return;
    const { io, run } = this.#shared;
    await this.#untilStarted();
    const task = readTask(io, this.#base);
    if (this.exitNow() === undefined && task) {
      if (isSame(io, task)) io.kill(task.pid, 'SIGKILL');
      // One that is dead already has a supervisor that is about to say how it ended.
      await this.#exitWithin(SUPERVISOR_MS);
    }
    if (this.exitNow() === undefined) {
      // The supervisor does not answer: it goes as well, and its last duty is done here.
      const claim = readClaim(io, this.#base);
      io.create(`${this.#base}.exit-137`, '');
      run.note(this.#task.id, 'exit-137');
      if (claim && isSame(io, claim)) io.kill(claim.pid, 'SIGKILL');
    }
    await this.#settle();
  }
  async remove(): Promise<void> {
    const { io, run, ports, units, cgroups } = this.#shared;
    const id = this.#task.id;
    if (!this.#cancel() && this.exitNow() === undefined) {
      throw new RuntimeError('NOT_ALLOWED', `task ${id} still runs: shut it down first`);
    }
    run.scan();
    const prepared = readPrepared(io, this.#base);
    if (prepared) ports.release(id, prepared.ports);
    units.release(id);
    cgroups.remove(id);
    io.removeTree(join(this.#shared.plan.workDirectory, id));
    removeRunFiles(io, run.path, id, run.entry(id));
    run.forget(id);
  }
  async status(): Promise<RuntimeStatus> {
    const { io, cgroups } = this.#shared;
    const missing = cgroups.missing(this.#task.spec?.limits ?? null);
    const prepared = readPrepared(io, this.#base);
    const host = prepared?.listenHost ?? this.#shared.publishHost;
    return {
      pid: readTask(io, this.#base)?.pid ?? 0,
      ports: prepared?.ports ?? [],
      host: host === '0.0.0.0' ? '127.0.0.1' : host,
      warning:
        missing.length === 0
          ? ''
          : `runs without its limit of ${missing.join(', ')}, since no control group is writable there`,
    };
  }
  async probeCommand(
    command: readonly string[],
    timeoutMs: number,
  ): Promise<{ code: number; output: string }> {
    const { io, place } = this.#shared;
    const prepared = readPrepared(io, this.#base);
    if (!prepared) return { code: -1, output: 'the task is not there any more' };
    const plan = this.#plan(prepared);
    const [program = '', ...args] = [...plan.prefix, ...command];
    const result = await io.run({
      command: program,
      args,
      // So that the next daemon finds what this one leaves when it is killed.
      env: { ...plan.env, [EXEC_MARK]: `${place}.probe` },
      cwd: plan.workdir,
      timeoutMs,
      outputBytesMax: LIMITS.healthOutputBytesMax,
    });
    const output = result.timedOut
      ? `took longer than its timeout of ${timeoutMs} ms ${result.output}`.trim()
      : result.output;
    return { code: result.code, output };
  }
  async exec(request: ExecRequest): Promise<ExecSession> {
    return execInProcess(this.#running(), request);
  }
  async attach(): Promise<AttachSession> {
    return attachToProcess(this.#running());
  }
  async dial(port: number): Promise<Socket> {
    return dialProcess(this.#running(), port);
  }
  async files(request: FilesRequest): Promise<FilesSession> {
    return filesOfProcess(this.#running(), request);
  }
  #running() {
    return runningProcess(this.#shared, this.#task, this.#base);
  }
  /** Undefined when it does not run. */
  usageRoot(): UsageRoot | undefined {
    const { io } = this.#shared;
    const process = readTask(io, this.#base);
    if (!process || !isSame(io, process)) return undefined;
    const supervisor = readPrepared(io, this.#base)?.pidNamespace
      ? readClaim(io, this.#base)?.pid
      : undefined;
    return { task: this.#task, pid: process.pid, supervisor };
  }
  /** Undefined while it runs, or may yet begin to. */
  exitNow(): Exit | undefined {
    const { io, run, boot, clock } = this.#shared;
    const exit = this.#writtenExit();
    const entry = run.entry(this.#task.id);
    if (exit || !entry.claimed) return exit;
    const claim = readClaim(io, this.#base);
    if (!claim) {
      const ageMs = clock.wallMs() - (io.stat(`${this.#base}.pid`)?.mtimeMs ?? 0);
      return ageMs > SUPERVISOR_MS
        ? lostExit(clock.wallMs(), 'its supervisor ended before it could start the task')
        : undefined;
    }
    if (claim.pid === 0) return cancelledExit(clock.wallMs());
    if (claim.boot !== boot) return lostExit(clock.wallMs(), 'the machine restarted');
    if (isSame(io, claim)) return undefined;
    // Its last act may have come between the two looks.
    run.scan();
    return this.#writtenExit() ?? lostExit(clock.wallMs(), 'its supervisor was killed');
  }
  #writtenExit(): Exit | undefined {
    const { io, run, clock, cgroups } = this.#shared;
    const { exitCode } = run.entry(this.#task.id);
    if (exitCode === undefined) return undefined;
    const atMs = io.stat(`${this.#base}.exit-${exitCode}`)?.mtimeMs ?? clock.wallMs();
    const oom = exitCode === 137 && cgroups.oomKilled(this.#task.id);
    return exitOf(exitCode, Math.floor(atMs), oom);
  }
  #plan(prepared: Prepared): Plan {
    return planTask(this.#shared.plan, this.#task, prepared);
  }
  /** Stopping must work also when the machine has changed so that starting would not. */
  #stopRule(): Pick<Plan, 'stopSignal' | 'stopGraceMs'> {
    const prepared = readPrepared(this.#shared.io, this.#base);
    try {
      if (prepared) return this.#plan(prepared);
    } catch {
      // Falls through to what every task understands.
    }
    return { stopSignal: 'SIGTERM', stopGraceMs: this.#task.spec?.process?.stopGraceMs ?? 0 };
  }
  #spawn(spawned: Spawned): void {
    const { io, run, script, cgroups, pidNamespace, logDirectory } = this.#shared;
    const id = this.#task.id;
    const prepared = readPrepared(io, this.#base);
    if (!prepared) throw new RuntimeError('IO', `task ${id} was never prepared`);
    const plan = this.#plan(prepared);
    const limits = this.#task.spec?.limits ?? null;
    if (plan.ownWorkdir) io.mkdir(plan.workdir);
    io.mkdir(logDirectory(id));
    cgroups.make(id, limits);
    const args = supervisorArgs({
      script,
      base: this.#base,
      workdir: plan.workdir,
      pidNamespace: prepared.pidNamespace && pidNamespace !== undefined,
      cgroups: this.#groups(),
      command: plan.command,
    });
    const before = prepared.pidNamespace ? (pidNamespace ?? []) : [];
    const [command = '', ...rest] = [...before, this.#shared.plan.tools.shell, ...args];
    try {
      io.spawn({
        command,
        args: rest,
        env: plan.env,
        cwd: '/',
        stdoutPath: join(logDirectory(id), 'out'),
        stderrPath: join(logDirectory(id), 'err'),
        onExit: (error) => {
          spawned.ended = true;
          spawned.error = error;
          run.wake(id);
        },
      });
    } catch (error) {
      throw new RuntimeError('RESOURCE', `can't start a process: ${messageOf(error)}`, true, error);
    }
  }
  #hasStarted(spawned: Spawned): boolean {
    const { io, run } = this.#shared;
    const id = this.#task.id;
    if (spawned.ended) run.scan();
    const { claimed, started } = run.entry(id);
    if (started && readTask(io, this.#base)) return true;
    const exit = this.exitNow();
    if (exit && readClaim(io, this.#base)?.pid === 0) {
      throw new RuntimeError('LOST', 'it was stopped before it started');
    }
    if (exit) return true;
    if (!spawned.ended || claimed) return false;
    const why = spawned.error ? messageOf(spawned.error) : 'its supervisor ended at once';
    throw new RuntimeError('RESOURCE', `can't start a process: ${why}`, true, spawned.error);
  }
  /** True when nothing of it ran or ever will. */
  #cancel(): boolean {
    const { io, run, boot } = this.#shared;
    const id = this.#task.id;
    if (!run.entry(id).claimed) {
      if (cancel(io, this.#base, boot)) {
        run.note(id, 'pid');
        this.#shared.units.release(id);
        return true;
      }
      run.scan();
    }
    return readClaim(io, this.#base)?.pid === 0;
  }
  /** Claimed, and soon to have a process that a signal can be sent to. */
  async #untilStarted(): Promise<void> {
    const { io, run, clock } = this.#shared;
    const endMs = clock.monotonicMs() + SUPERVISOR_MS;
    while (clock.monotonicMs() < endMs) {
      if (this.exitNow() !== undefined || readTask(io, this.#base)) return;
      await Promise.race([run.changed(this.#task.id), delay(clock, 100)]);
    }
  }
  async #exitWithin(ms: number, signal?: AbortSignal): Promise<void> {
    const { run, clock } = this.#shared;
    const limit = new AbortController();
    const timer = clock.setTimer(ms, () => limit.abort());
    const abort = (): void => limit.abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      while (this.exitNow() === undefined) await run.changed(this.#task.id, limit.signal);
    } catch (error) {
      if (!limit.signal.aborted) throw error;
      signal?.throwIfAborted();
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', abort);
    }
  }
  /** It has ended: waits until its supervisor is gone too, and ends what escaped. */
  async #settle(): Promise<void> {
    const { io, clock, sweeper } = this.#shared;
    const claim = readClaim(io, this.#base);
    const endMs = clock.monotonicMs() + SUPERVISOR_MS;
    for (let ms = 1; claim && isSame(io, claim) && clock.monotonicMs() < endMs; ms = next(ms)) {
      await delay(clock, ms);
    }
    if (claim && isSame(io, claim)) io.kill(claim.pid, 'SIGKILL');
    if (readPrepared(io, this.#base)?.pidNamespace !== true) {
      await sweeper.sweep(TASK_MARK, this.#task.id);
    }
    this.#shared.units.release(this.#task.id);
  }
  #groups(): readonly string[] {
    return this.#shared.cgroups.groupsOf(this.#task.id, this.#task.spec?.limits ?? null);
  }
}

interface Spawned {
  ended: boolean;
  error: Error | undefined;
}

function next(ms: number): number {
  return Math.min(50, ms * 2);
}
