import type { Socket } from 'node:net';
import {
  AssignedTask,
  type ExecRequest,
  type FilesRequest,
  ProcessSpec,
  Protocol,
  TaskSpec,
} from '../../../proto/index.ts';
import { ACTIONS, openFiles } from '../../inside/files-session.ts';
import {
  type AttachSession,
  type ExecSession,
  type FilesSession,
  RuntimeError,
} from '../../runtime.ts';
import { connectTo } from '../connect-to.ts';
import { parseSignal } from './exit.ts';
import { isSame, type ProcessIdentity } from './identity.ts';
import { type Plan, planTask } from './plan.ts';
import { startExec } from './process-exec.ts';
import type { ProcessShared } from './process-shared.ts';
import { type Prepared, readClaim, readPrepared, readTask } from './run-files.ts';
import { resolveUser } from './users.ts';

/** A process task that runs, as everything that looks into it needs it. */
export interface RunningProcess {
  readonly shared: ProcessShared;
  readonly task: AssignedTask;
  readonly prepared: Prepared;
  readonly process: ProcessIdentity;
  /** Process 1 of its pid namespace; undefined: it has none. */
  readonly namespacePid: number | undefined;
  readonly cgroups: readonly string[];
}

/** Throws RuntimeError NOT_RUNNING. */
export function runningProcess(
  shared: ProcessShared,
  task: AssignedTask,
  base: string,
): RunningProcess {
  const { io, cgroups } = shared;
  const prepared = readPrepared(io, base);
  const process = readTask(io, base);
  const claim = readClaim(io, base);
  if (!prepared || !process || !claim || !isSame(io, process)) {
    throw new RuntimeError('NOT_RUNNING', `task ${task.id} does not run any more`);
  }
  return {
    shared,
    task,
    prepared,
    process,
    namespacePid: prepared.pidNamespace ? claim.pid : undefined,
    cgroups: cgroups.groupsOf(task.id, task.spec?.limits ?? null),
  };
}

/** See `TaskController.exec`. */
export async function execInProcess(
  running: RunningProcess,
  request: ExecRequest,
): Promise<ExecSession> {
  const { io, clock, plan: deps, sweeper, random, place } = running.shared;
  const { plan, uid } = planFor(running, request);
  const mark = Buffer.from(random.bytes(8)).toString('hex');
  return startExec({
    io,
    clock,
    sweeper,
    tools: deps.tools,
    request,
    plan,
    uid,
    ownUid: deps.self.uid,
    id: `${place}.${mark}`,
    namespacePid: running.namespacePid,
    cgroups: running.cgroups,
  });
}

/** The task's plan with this command, and with another user or directory where one is asked for. */
function planFor(
  { shared, task, prepared }: RunningProcess,
  request: Pick<ExecRequest, 'command' | 'user' | 'workdir'>,
): { readonly plan: Plan; readonly uid: number } {
  const { plan: deps } = shared;
  const withSpec = (patch: Partial<ProcessSpec>): AssignedTask => {
    const process = ProcessSpec.with(task.spec!.process!, patch);
    return AssignedTask.with(task, { spec: TaskSpec.with(task.spec!, { process }) });
  };
  // Its own command may be gone from the disk meanwhile.
  const own = planTask(deps, withSpec({ command: [deps.tools.shell] }), prepared);
  const wish = {
    command: request.command,
    user: request.user || task.spec!.process!.user,
    workdir: request.workdir || own.workdir,
  };
  const { switchTo } = resolveUser(deps.io, wish.user, deps.self);
  return {
    plan: checked(() => planTask(deps, withSpec(wish), prepared)),
    uid: switchTo?.uid ?? deps.self.uid,
  };
}

/** A command that is not there is told in Docker's two ways. */
function checked(plan: () => Plan): Plan {
  try {
    return plan();
  } catch (error) {
    const known = error instanceof RuntimeError && error.code === 'COMMAND_NOT_FOUND';
    if (!known || !error.message.includes('is not an executable file')) throw error;
    throw new RuntimeError('NOT_EXECUTABLE', error.message, false, error);
  }
}

/** A process task takes no input, and has no terminal. */
export function attachToProcess({ shared, process }: RunningProcess): AttachSession {
  return {
    terminal: false,
    stdin: undefined,
    resize: () => undefined,
    close: () => undefined,
    signal: async (name) => {
      const signal = parseSignal(name);
      if (signal === undefined) throw new RuntimeError('INVALID_SPEC', `${name} is no signal`);
      if (isSame(shared.io, process)) shared.io.kill(process.pid, signal);
    },
  };
}

/** Files as the task's user has them; a path that begins nowhere begins in its working directory. */
export function filesOfProcess(
  running: RunningProcess,
  request: FilesRequest,
): Promise<FilesSession> {
  const { io, plan: deps, inside } = running.shared;
  const { plan } = planFor(running, { command: [deps.tools.shell], user: '', workdir: '' });
  const { name, switchTo } = resolveUser(deps.io, running.task.spec!.process!.user, deps.self);
  return openFiles(io, inside, {
    action: ACTIONS[request.action],
    root: '/',
    path: request.path.startsWith('/') ? request.path : `${plan.workdir}/${request.path}`,
    followLink: request.followLink,
    keepOwner: request.keepOwner,
    user: switchTo ? { ...switchTo, name: switchTo.named ? name : '' } : null,
  });
}

/** A port of the spec is where the task was told to listen; any other is taken as it is. */
export function dialProcess({ shared, prepared }: RunningProcess, port: number): Promise<Socket> {
  const binding = prepared.ports.find(
    ({ target, protocol }) => target === port && protocol === Protocol.TCP,
  );
  const listens = prepared.listenHost || shared.publishHost;
  const host = listens === '0.0.0.0' || binding === undefined ? '127.0.0.1' : listens;
  return connectTo(host, binding?.port ?? port);
}
