import { join } from 'node:path';
import { ContainersService, TasksService } from '../../../proto/containerd.ts';
import type { Clock } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Random } from '../../../shared/random.ts';
import { type Containerd, ContainerdError, unless } from '../../containerd.ts';
import type { Io } from '../../io.ts';
import { type OciProcess, type OciSpec, specJson } from '../oci/spec.ts';
import { EXEC_MARK, type Sweeper } from '../process/sweep.ts';

export interface ExecDeps {
  readonly containerd: Containerd;
  readonly clock: Clock;
  readonly random: Random;
  readonly io: Io;
  readonly sweeper: Sweeper;
}

/** `types.containerd.io/…` values are JSON. */
export const PROCESS_TYPE = 'types.containerd.io/opencontainers/runtime-spec/1/Process';
/** Begins the names of health commands, and of the files that take their output. */
export const PROBE_PREFIX = 'probe-';
const SIGKILL = 9;
/** Starting a command is not part of its time, but ends too. */
const START_MS = 30_000;

/**
 * Runs a command in a container to its end, as its user, with its environment. What takes longer than
 * `timeoutMs` is killed; code -1 then, and where it could not be run. `directory` takes its output.
 * `unavailable`: containerd does not answer.
 */
export async function execToEnd(
  deps: ExecDeps,
  containerId: string,
  args: readonly string[],
  timeoutMs: number,
  directory: string,
): Promise<{ code: number; output: string } | 'unavailable'> {
  const { containerd, io, random, clock, sweeper } = deps;
  const execId = `${PROBE_PREFIX}${Buffer.from(random.bytes(6)).toString('hex')}`;
  const file = join(directory, execId);
  // Where the disk is full a command has no output, and its code counts all the same.
  const path = makes(io, file) ? file : '';
  const target = { containerId, execId };
  try {
    const base = await processOf(containerd, containerId);
    const env = [...base.env, `${EXEC_MARK}=${execId}`];
    const process = { ...base, env, args, terminal: false };
    const spec = { typeUrl: PROCESS_TYPE, value: specJson(process) };
    const request = { ...target, stdout: path, stderr: path, spec };
    await containerd.call(TasksService.exec, request, { timeoutMs: START_MS });
    const ended = containerd.call(TasksService.wait, target, { timeoutMs: Infinity });
    ended.catch(() => undefined);
    await containerd.call(TasksService.start, target, { timeoutMs: START_MS });
    let timedOut = false;
    const timer = clock.setTimer(timeoutMs, () => {
      timedOut = true;
      const kill = { ...target, signal: SIGKILL, all: true };
      containerd.call(TasksService.kill, kill).catch(() => undefined);
      // What it started goes on otherwise, and keeps its output open.
      void sweeper.sweep(EXEC_MARK, execId);
    });
    const { exitStatus } = await ended.finally(() => timer.cancel());
    // Its output is complete only after this.
    await unless(containerd.call(TasksService.deleteProcess, target), 'NOT_FOUND');
    const size = LIMITS.healthOutputBytesMax;
    const output = path === '' ? '' : io.readAt(path, 0, size).toString('utf8');
    if (!timedOut) return { code: exitStatus, output };
    const text = `took longer than its timeout of ${timeoutMs} ms ${output}`;
    return { code: -1, output: text.trim() };
  } catch (error) {
    if (!(error instanceof ContainerdError)) throw error;
    if (error.code === 'UNAVAILABLE') return 'unavailable';
    const gone = containerd.call(TasksService.deleteProcess, target);
    await gone.catch(() => undefined);
    return { code: -1, output: error.message };
  } finally {
    io.unlink(file);
  }
}

function makes(io: Io, path: string): boolean {
  try {
    io.write(path, '');
    return true;
  } catch (error) {
    if (['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false;
    throw error;
  }
}

/** The process of a container as its spec has it. */
export async function processOf(containerd: Containerd, id: string): Promise<OciProcess> {
  const { container } = await containerd.call(ContainersService.get, { id });
  const spec = JSON.parse(Buffer.from(container!.spec!.value).toString('utf8')) as OciSpec;
  return spec.process;
}
