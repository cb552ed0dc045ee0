import type { ExecRequest, TerminalSize } from '../../../proto/index.ts';
import { type Clock, delay } from '../../../shared/clock.ts';
import type { Io, OpenProcess } from '../../io.ts';
import { type ExecSession, RuntimeError } from '../../runtime.ts';
import { TerminalSizes } from '../terminal-sizes.ts';
import type { Tools } from './isolation.ts';
import type { Plan } from './plan.ts';
import { EXEC_MARK, type Sweeper } from './sweep.ts';

/** Everything about one more command beside a task of this node. */
export interface ExecPlan {
  readonly io: Io;
  readonly clock: Clock;
  readonly tools: Tools;
  readonly sweeper: Sweeper;
  readonly request: ExecRequest;
  /** The task's, or of the user and directory that were asked for. */
  readonly plan: Plan;
  /** Of the user that it runs as: the terminal is to be theirs. */
  readonly uid: number;
  /** The daemon's own. */
  readonly ownUid: number;
  /** Marks the command and whatever it starts. */
  readonly id: string;
  /** Process 1 of the task's pid namespace; undefined: it has none. */
  readonly namespacePid: number | undefined;
  readonly cgroups: readonly string[];
}

/** How long a hung-up command may take to end before it is killed. */
const HANGUP_MS = 2_000;
const STTY_MS = 5_000;

/** Puts itself under the task's limits, then becomes the command. `notes` are for a terminal's alone. */
const JOIN = `notes=$1 groups=$2
shift 2
while [ "$groups" -gt 0 ]; do
  echo 0 >> "$1/cgroup.procs" || exit 126
  shift
  groups=$((groups - 1))
done
[ "$notes" = 1 ] || exec 3>&-
exec "$@"`;

/** Starts it. A terminal comes from `script` of util-linux: Node.js itself can make none. */
export async function startExec(exec: ExecPlan): Promise<ExecSession> {
  const { io, tools, request, plan, cgroups } = exec;
  if (request.privileged)
    throw new RuntimeError('UNSUPPORTED', '--privileged is for containers: use --user root');
  const own = [...plan.prefix, ...request.command];
  // The terminal belongs to the namespace too: a shell puts its jobs into its foreground.
  const inside = request.terminal ? onTerminal(exec, own, request.terminal) : own;
  const command = [...enter(exec), ...inside];
  const notes = request.terminal ? '1' : '0';
  const process = io.open({
    command: tools.shell,
    args: ['-c', JOIN, 'exec', notes, String(cgroups.length), ...cgroups, ...command],
    env: environmentOf(exec),
    cwd: plan.workdir,
  });
  if (process.pid === 0) {
    await process.exit.catch((error) => {
      throw new RuntimeError('RESOURCE', `can't start a process: ${error.message}`, true, error);
    });
  }
  return new ProcessExec(exec, process);
}

function environmentOf({ plan, request, id }: ExecPlan): { readonly [key: string]: string } {
  const env: { [key: string]: string } = { ...plan.env };
  if (request.terminal) env['TERM'] ??= 'xterm';
  for (const entry of request.env) {
    const at = entry.indexOf('=');
    if (at > 0) env[entry.slice(0, at)] = entry.slice(at + 1);
    else if (at < 0) delete env[entry];
  }
  // What runs detached is nobody's, and outlives this daemon.
  return request.detach ? env : { ...env, [EXEC_MARK]: id };
}

/** Into the task's pid namespace: then it ends with the task, whatever it does. */
function enter({ namespacePid, tools, ownUid }: ExecPlan): readonly string[] {
  if (namespacePid === undefined) return [];
  if (tools.nsenter === undefined) {
    throw new RuntimeError('UNSUPPORTED', 'this node has no nsenter: install util-linux there');
  }
  const user = ownUid === 0 ? [] : ['--user', '--preserve-credentials'];
  return [tools.nsenter, '--target', String(namespacePid), ...user, '--pid', '--'];
}

function onTerminal(
  { tools, uid, ownUid, plan }: ExecPlan,
  command: readonly string[],
  size: TerminalSize,
): readonly string[] {
  const { script, stty } = tools;
  if (script === undefined || stty === undefined) {
    throw new RuntimeError(
      'UNSUPPORTED',
      'this node has no `script` to make a terminal with: install bsdutils there, or leave -t out',
    );
  }
  const shell = plan.env['SHELL'];
  const steps = [
    `${stty} sane ${sttySize(size)}`,
    // Where it is, for whoever changes its size later.
    't=$(tty)',
    ...(uid === ownUid ? [] : [`chown ${uid} "$t"`]),
    'echo "$t" >&3',
    'exec 3>&-',
    shell === undefined ? 'unset SHELL' : `SHELL=${quote(shell)}`,
    `exec ${command.map(quote).join(' ')}`,
  ];
  // `script` hands its command to $SHELL, which is the task's own affair.
  return ['env', 'SHELL=/bin/sh', script, '-qefc', steps.join('; '), '/dev/null'];
}

function sttySize({ columns, rows }: TerminalSize): string {
  return columns > 0 && rows > 0 ? `columns ${columns} rows ${rows}` : '';
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}

class ProcessExec implements ExecSession {
  readonly pid: number;
  readonly stdin: ExecSession['stdin'];
  readonly stdout: ExecSession['stdout'];
  readonly stderr: ExecSession['stderr'];
  readonly exit: Promise<number>;
  readonly #exec: ExecPlan;
  readonly #process: OpenProcess;
  readonly #sizes = new TerminalSizes(async (size) => {
    const { io, tools } = this.#exec;
    const path = (await this.#terminal) ?? '';
    if (path === '' || this.#ended) return;
    const args = ['-F', path, ...sttySize(size).split(' ')];
    await io.run({ command: tools.stty!, args, timeoutMs: STTY_MS, outputBytesMax: 0 });
  });
  #terminal: Promise<string> | undefined;
  #ended = false;

  constructor(exec: ExecPlan, process: OpenProcess) {
    const { request } = exec;
    this.#exec = exec;
    this.#process = process;
    this.pid = process.pid;
    this.exit = process.exit;
    void this.exit.then(() => {
      this.#ended = true;
    });
    if (request.detach) this.release();
    this.stdin = request.input && !request.detach ? process.stdin : undefined;
    // Without input a program that reads sees its end; a terminal has none.
    if (this.stdin === undefined && !request.terminal) process.stdin.end();
    this.stdout = request.detach ? undefined : process.stdout;
    this.stderr = request.detach || request.terminal ? undefined : process.stderr;
    if (request.terminal) this.#terminal = firstLine(process);
    else process.notes.resume();
  }
  resize(size: TerminalSize): void {
    this.#sizes.resize(size);
  }
  release(): void {
    this.#process.stdout.resume();
    this.#process.stderr.resume();
  }
  async close(): Promise<void> {
    const { io, clock, sweeper, id, request } = this.#exec;
    const { stdin, stdout, stderr, notes } = this.#process;
    if (!this.#ended && !request.detach) {
      hangUp(io, this.pid);
      stdin.destroy();
      await Promise.race([this.exit.catch(() => undefined), delay(clock, HANGUP_MS)]);
      await sweeper.sweep(EXEC_MARK, id);
      await this.exit.catch(() => undefined);
    }
    for (const pipe of [stdin, stdout, stderr, notes]) pipe.destroy();
  }
}

/** Ended meanwhile: nothing happens. */
function hangUp(io: Io, pid: number): void {
  try {
    io.kill(-pid, 'SIGHUP');
  } catch {
    // Its user may be another one: the sweep that follows is root's.
  }
}

function firstLine(process: OpenProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    process.notes.setEncoding('utf8');
    process.notes.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    process.notes.on('close', () => resolve(''));
  });
}
