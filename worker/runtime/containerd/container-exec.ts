import { join } from 'node:path';
import { SnapshotsService, TasksService } from '../../../proto/containerd.ts';
import type { ExecRequest, TerminalSize } from '../../../proto/index.ts';
import { delay } from '../../../shared/clock.ts';
import { ContainerdError, unless } from '../../containerd.ts';
import { SNAPSHOTTER } from '../../images/layer-store.ts';
import { SnapshotRoot } from '../../mounts/snapshot-root.ts';
import { type ExecSession, RuntimeError } from '../../runtime.ts';
import { type ContainerUser, containerUser } from '../oci/container-user.ts';
import { capabilitiesFor, type OciProcess, specJson } from '../oci/spec.ts';
import { EXEC_MARK } from '../process/sweep.ts';
import { TerminalSizes } from '../terminal-sizes.ts';
import { asRuntimeError } from './errors.ts';
import { PROBE_PREFIX, PROCESS_TYPE, processOf } from './exec.ts';
import { FifoReader, makeFifos, openFifoWriter } from './fifo.ts';
import type { ContainerdShared } from './shared.ts';

const START_MS = 30_000;
/** How long a hung-up command may take to end before it is killed. */
const HANGUP_MS = 2_000;
const RETRY_MS = 200;
const SIGHUP = 1;
const SIGKILL = 9;
/** Where the pipes of commands are, in the directory of a container's files. */
const PREFIX = 'exec-';

/** See `TaskController.exec`. */
export async function execInContainer(
  shared: ContainerdShared,
  containerId: string,
  request: ExecRequest,
): Promise<ExecSession> {
  const { io, random, records, containerd } = shared;
  const execId = `${PREFIX}${Buffer.from(random.bytes(8)).toString('hex')}`;
  const directory = join(records.files(containerId), execId);
  const target = { containerId, execId };
  let pipes: Pipes | undefined;
  try {
    const process = await execProcess(shared, containerId, request, execId);
    pipes = await Pipes.make(shared, directory, request);
    const spec = { typeUrl: PROCESS_TYPE, value: specJson(process) };
    const terminal = request.terminal !== null;
    const make = { ...target, ...pipes.paths, terminal, spec };
    await containerd.call(TasksService.exec, make, { timeoutMs: START_MS });
    const exit = exitOf(shared, target);
    exit.catch(() => undefined);
    const { pid } = await containerd.call(TasksService.start, target, { timeoutMs: START_MS });
    pipes.writersCame();
    const session = new ContainerExec(shared, target, pid, exit, pipes);
    if (request.terminal) session.resize(request.terminal);
    return session;
  } catch (error) {
    pipes?.close();
    await containerd.call(TasksService.deleteProcess, target).catch(() => undefined);
    io.removeTree(directory);
    if (ContainerdError.is(error, 'NOT_FOUND', 'STATE')) {
      const text = `task ${containerId} does not run any more`;
      throw new RuntimeError('NOT_RUNNING', text, false, error);
    }
    throw asRuntimeError(error, 'run the command');
  }
}

/** What a daemon that was killed left: nobody reads it, so it may wait for ever. */
export async function endForgottenExecs(
  shared: ContainerdShared,
  containerId: string,
): Promise<void> {
  const { io, records, containerd, sweeper } = shared;
  const files = records.files(containerId);
  const isOne = (name: string) => name.startsWith(PREFIX) || name.startsWith(PROBE_PREFIX);
  for (const execId of io.list(files).filter(isOne)) {
    const target = { containerId, execId };
    const gone = ['NOT_FOUND', 'STATE'] as const;
    await unless(containerd.call(TasksService.kill, { ...target, signal: SIGKILL }), ...gone);
    await sweeper.sweep(EXEC_MARK, execId);
    await unless(containerd.call(TasksService.wait, target), ...gone);
    await unless(containerd.call(TasksService.deleteProcess, target), ...gone);
    io.removeTree(join(files, execId));
  }
}

async function execProcess(
  shared: ContainerdShared,
  id: string,
  request: ExecRequest,
  execId: string,
): Promise<OciProcess> {
  if (request.command.length === 0) {
    throw new RuntimeError('INVALID_SPEC', 'no command is given');
  }
  const base = await processOf(shared.containerd, id);
  const size = request.terminal;
  const user = request.user === '' ? undefined : await userOf(shared, id, request.user);
  const env = new Map(base.env.map(splitEntry));
  if (user !== undefined) env.set('HOME', user.home);
  if (size !== null && !env.has('TERM')) env.set('TERM', 'xterm');
  for (const entry of request.env) {
    if (entry.includes('=')) env.set(...splitEntry(entry));
    else env.delete(entry);
  }
  // What runs detached is nobody's, and outlives this daemon.
  if (!request.detach) env.set(EXEC_MARK, execId);
  return {
    ...base,
    ...(user === undefined ? {} : asUser(base, user)),
    ...(request.privileged ? privileged(base, shared.host().capabilities) : {}),
    args: request.command,
    env: [...env].map(([key, value]) => `${key}=${value}`),
    cwd: request.workdir || base.cwd,
    terminal: size !== null,
    ...(size === null ? {} : { consoleSize: { width: size.columns, height: size.rows } }),
  };
}

async function userOf({ containerd }: ContainerdShared, key: string, text: string) {
  const request = { snapshotter: SNAPSHOTTER, key };
  const { mounts } = await containerd.call(SnapshotsService.mounts, request);
  const root = new SnapshotRoot(mounts);
  return containerUser(text, [], {
    passwd: root.readText('/etc/passwd') ?? '',
    group: root.readText('/etc/group') ?? '',
  });
}

function asUser(base: OciProcess, { uid, gid, additionalGids }: ContainerUser) {
  return {
    user: { uid, gid, additionalGids },
    capabilities: capabilitiesFor(base, uid),
  };
}

/** As Docker: every right, whoever it runs as; the filter of system calls stays the container's. */
function privileged(
  { apparmorProfile }: OciProcess,
  capabilities: readonly string[],
): Partial<OciProcess> {
  const all = capabilities.map((name) => `CAP_${name}`);
  const none = { ambient: [], inheritable: [] };
  return {
    ...(apparmorProfile === undefined ? {} : { apparmorProfile: 'unconfined' }),
    capabilities: { ...none, bounding: all, effective: all, permitted: all },
  };
}

function splitEntry(entry: string): [string, string] {
  const at = entry.indexOf('=');
  return at < 0 ? [entry, ''] : [entry.slice(0, at), entry.slice(at + 1)];
}

/** Asked again when containerd restarts meanwhile: the command goes on. */
async function exitOf({ containerd, clock }: ContainerdShared, target: ExecTarget) {
  const options = { timeoutMs: Number.POSITIVE_INFINITY };
  for (;;) {
    try {
      return (await containerd.call(TasksService.wait, target, options)).exitStatus;
    } catch (error) {
      if (!ContainerdError.is(error, 'UNAVAILABLE')) return 128 + SIGKILL;
      await delay(clock, RETRY_MS);
    }
  }
}

interface ExecTarget {
  readonly containerId: string;
  readonly execId: string;
}

/** The ends of a command's pipes that are ours. */
class Pipes {
  readonly paths: { readonly stdin: string; readonly stdout: string; readonly stderr: string };
  readonly stdin: ReturnType<typeof openFifoWriter> | undefined;
  readonly stdout: FifoReader | undefined;
  readonly stderr: FifoReader | undefined;

  static async make(
    shared: ContainerdShared,
    directory: string,
    { input, detach, terminal }: ExecRequest,
  ): Promise<Pipes> {
    const path = (name: string, there: boolean): string => (there ? join(directory, name) : '');
    const paths = {
      stdin: path('in', input && !detach),
      stdout: path('out', !detach),
      stderr: path('err', !detach && terminal === null),
    };
    shared.io.mkdir(directory);
    await makeFifos(
      shared.io,
      Object.values(paths).filter((each) => each !== ''),
    );
    return new Pipes(paths);
  }
  private constructor(paths: Pipes['paths']) {
    this.paths = paths;
    this.stdout = paths.stdout === '' ? undefined : new FifoReader(paths.stdout);
    this.stderr = paths.stderr === '' ? undefined : new FifoReader(paths.stderr);
    this.stdin = paths.stdin === '' ? undefined : openFifoWriter(paths.stdin);
  }
  writersCame(): void {
    this.stdout?.writerCame();
    this.stderr?.writerCame();
  }
  close(): void {
    this.stdout?.close();
    this.stderr?.close();
    this.stdin?.destroy();
  }
}

class ContainerExec implements ExecSession {
  readonly pid: number;
  readonly exit: Promise<number>;
  readonly #shared: ContainerdShared;
  readonly #target: ExecTarget;
  readonly #pipes: Pipes;
  readonly #sizes = new TerminalSizes(({ columns, rows }) => {
    const size = { ...this.#target, width: columns, height: rows };
    return this.#shared.containerd.call(TasksService.resizePty, size);
  });
  #ended = false;

  constructor(
    shared: ContainerdShared,
    target: ExecTarget,
    pid: number,
    exit: Promise<number>,
    pipes: Pipes,
  ) {
    this.#shared = shared;
    this.#target = target;
    this.#pipes = pipes;
    this.pid = pid;
    this.exit = exit;
    void exit.then(() => {
      this.#ended = true;
    });
    // The shim holds the pipe open too, so that the end of ours alone is none.
    pipes.stdin?.once('close', () => this.#closeInput());
    if (pipes.stdout === undefined) this.release();
  }
  get stdin() {
    return this.#pipes.stdin;
  }
  get stdout() {
    return this.#pipes.stdout?.readable;
  }
  get stderr() {
    return this.#pipes.stderr?.readable;
  }
  resize(size: TerminalSize): void {
    this.#sizes.resize(size);
  }
  release(): void {
    this.stdout?.resume();
    this.stderr?.resume();
    void this.exit.then(() => this.#clear());
  }
  async close(): Promise<void> {
    if (!this.#ended) await this.#end();
    await this.#clear();
  }
  async #end(): Promise<void> {
    const { clock, sweeper } = this.#shared;
    await this.#kill(SIGHUP);
    await Promise.race([this.exit, delay(clock, HANGUP_MS)]);
    // What it started, and what was just starting, has its mark.
    await sweeper.sweep(EXEC_MARK, this.#target.execId);
    if (!this.#ended) await this.#kill(SIGKILL);
    await Promise.race([this.exit, delay(clock, HANGUP_MS)]);
  }
  async #kill(signal: number): Promise<void> {
    const { containerd } = this.#shared;
    await containerd.call(TasksService.kill, { ...this.#target, signal }).catch(() => undefined);
  }
  #closeInput(): void {
    const close = { ...this.#target, stdin: true };
    this.#shared.containerd.call(TasksService.closeIO, close).catch(() => undefined);
  }
  async #clear(): Promise<void> {
    const { containerd, io, records } = this.#shared;
    this.#pipes.close();
    await containerd.call(TasksService.deleteProcess, this.#target).catch(() => undefined);
    io.removeTree(join(records.files(this.#target.containerId), this.#target.execId));
  }
}
