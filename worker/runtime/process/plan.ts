import { join } from 'node:path';
import type { AssignedTask, ProcessSpec, Ulimit } from '../../../proto/index.ts';
import type { Io } from '../../io.ts';
import { RuntimeError } from '../../runtime.ts';
import type { TemplateNode } from '../templates.ts';
import { checkWorkdir, findCommand } from './command.ts';
import { taskEnvironment } from './environment.ts';
import { parseSignal } from './exit.ts';
import type { Tools } from './isolation.ts';
import type { Prepared } from './run-files.ts';
import { resolveUser, type Self, switchCommand } from './users.ts';

export interface PlanDeps {
  readonly io: Io;
  readonly self: Self;
  readonly tools: Tools;
  readonly node: TemplateNode;
  readonly pathDirs: readonly string[];
  readonly tmpdir: string;
  /** Each task without a workdir of its own gets a folder in here. */
  readonly workDirectory: string;
  readonly allowed: boolean;
}

/** Everything about how a task is run, checked against this machine. */
export interface Plan {
  readonly command: readonly string[];
  /** Goes before any command that runs as the task. */
  readonly prefix: readonly string[];
  readonly env: { readonly [key: string]: string };
  readonly workdir: string;
  /** `workdir` is made for this task and goes with it. */
  readonly ownWorkdir: boolean;
  readonly stopSignal: string;
  readonly stopGraceMs: number;
}

/** Throws RuntimeError where this machine can't run the task as it is specified. */
export function planTask(deps: PlanDeps, task: AssignedTask, prepared: Prepared): Plan {
  const spec = processOf(task);
  if (!deps.allowed) {
    throw new RuntimeError(
      'NOT_ALLOWED',
      'this node starts no processes: its operator has not said --allow-process',
    );
  }
  const user = resolveUser(deps.io, spec.user, deps.self);
  const ownWorkdir = spec.workdir === '' && user.switchTo === undefined;
  const workdir = chooseWorkdir(deps, task.id, spec.workdir, ownWorkdir, user.home);
  const env = taskEnvironment(task, {
    node: deps.node,
    pathDirs: deps.pathDirs,
    home: user.home,
    user: user.name,
    tmpdir: deps.tmpdir,
    ports: prepared.ports,
    host: prepared.listenHost,
    units: prepared.units ?? [],
  });
  const [name] = spec.command;
  if (name === undefined || name === '') {
    throw new RuntimeError('INVALID_SPEC', 'the service has no command: give one after --process');
  }
  findCommand(deps.io, name, env['PATH'] ?? '', workdir);
  const stopSignal = parseSignal(spec.stopSignal || 'SIGTERM');
  if (stopSignal === undefined) {
    throw new RuntimeError('INVALID_SPEC', `${spec.stopSignal} is no signal: change --stop-signal`);
  }
  const prefix = [
    ...ulimitCommand(spec.ulimits, deps.tools.prlimit),
    ...switchCommand(user, deps.tools.setpriv),
  ];
  const command = [...prefix, ...spec.command];
  return {
    command,
    prefix,
    env,
    workdir,
    ownWorkdir,
    stopSignal,
    stopGraceMs: spec.stopGraceMs,
  };
}

function processOf(task: AssignedTask): ProcessSpec {
  if (task.spec?.process) return task.spec.process;
  throw new RuntimeError(
    'UNSUPPORTED',
    'this node has no container runtime: it runs only services made with --process',
  );
}

function chooseWorkdir(
  deps: PlanDeps,
  taskId: string,
  asked: string,
  own: boolean,
  home: string,
): string {
  if (own) return join(deps.workDirectory, taskId);
  if (asked === '') return deps.io.stat(home)?.directory === true ? home : '/';
  checkWorkdir(deps.io, asked);
  return asked;
}

const ULIMITS = new Set(
  'as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(
    ' ',
  ),
);

function ulimitCommand(ulimits: readonly Ulimit[], prlimit: string | undefined): readonly string[] {
  if (ulimits.length === 0) return [];
  if (prlimit === undefined) {
    throw new RuntimeError(
      'UNSUPPORTED',
      'this node has no prlimit to set --ulimit with: install util-linux there',
    );
  }
  const value = (limit: number): string => (limit < 0 ? 'unlimited' : String(limit));
  const flags = ulimits.map(({ name, soft, hard }) => {
    if (!ULIMITS.has(name)) throw new RuntimeError('INVALID_SPEC', `${name} is no ulimit`);
    return `--${name}=${value(soft)}:${value(hard)}`;
  });
  return [prlimit, ...flags];
}
