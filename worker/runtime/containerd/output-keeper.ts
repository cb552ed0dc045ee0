import { join } from 'node:path';
import type { Clock, Timer } from '../../../shared/clock.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Log } from '../../../shared/log.ts';
import type { Io } from '../../io.ts';

export interface OutputKeeperDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly log: Log;
  /** Tasks that run, those with a terminal left out. */
  readonly running: () => readonly string[];
  /** The processes of a container. */
  readonly processes: (taskId: string) => readonly number[];
  readonly logDirectory: (taskId: string) => string;
  /** Bytes that are free where this is. */
  readonly freeBytes: (directory: string) => Promise<number>;
}

const TICK_MS = 5_000;
/** Without a sign of a full disk it is only looked now and then. */
const TICKS_A_LOOK = 12;
const LITTLE_BYTES = 16 << 20;
const NOTE = '[swarm] the disk was full: output is missing here';

/**
 * Copies from a pipe to a file until all who write into it are gone. While the disk takes nothing, what
 * comes is lost, so that the task goes on. $1: the pipe, $2: what it must be, $3: the file, $4: what is said.
 */
const SCRIPT = `
while [ "$(readlink "$1")" = "$2" ]; do
  until printf '\\n%s\\n' "$4" >>"$3"; do
    timeout 1 cat <"$1" >/dev/null && exit
    [ "$(readlink "$1")" = "$2" ] || exit
  done
  cat <"$1" >>"$3" && exit
  sleep 1
done`;

/**
 * A shim gives up copying a container's output at the first write that fails. From then on nobody
 * empties its pipe, and the container waits for ever at its next line. This finds such pipes and has
 * them copied by a process that goes on where the disk is full, and outlives the daemon.
 */
export class OutputKeeper {
  readonly #deps: OutputKeeperDeps;
  #timer: Timer | undefined;
  #ticks = 0;
  #wasFull = false;

  constructor(deps: OutputKeeperDeps) {
    this.#deps = deps;
  }
  start(): void {
    this.stop();
    this.#timer = this.#deps.clock.setTimer(TICK_MS, () => void this.#tick());
  }
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
  async #tick(): Promise<void> {
    const timer = this.#timer;
    const { running, logDirectory, freeBytes, log } = this.#deps;
    const ids = running();
    const before = this.#wasFull;
    try {
      const free = ids.length > 0 ? await freeBytes(logDirectory(ids[0]!)) : LITTLE_BYTES;
      this.#wasFull = free < LITTLE_BYTES;
      const isDue = this.#ticks++ % TICKS_A_LOOK === 0;
      if (isDue || before || this.#wasFull) for (const id of ids) this.#look(id);
    } catch (error) {
      log.warn({ error: messageOf(error) }, 'outputs of containers could not be looked at');
    }
    if (this.#timer === timer) this.start();
  }
  #look(taskId: string): void {
    const { io, processes, logDirectory } = this.#deps;
    const pids = processes(taskId);
    const shim = pids.map((pid) => this.#parent(pid)).find((pid) => !pids.includes(pid));
    if (shim === undefined || shim <= 1) return;
    const open = new Map<string, string>();
    for (const name of io.list(`/proc/${shim}/fd`)) {
      const path = `/proc/${shim}/fd/${name}`;
      const target = io.readLink(path)?.target;
      if (target !== undefined) open.set(target, path);
    }
    for (const [fd, stream] of [
      [1, 'out'],
      [2, 'err'],
    ] as const) {
      const file = join(logDirectory(taskId), stream);
      if (open.has(file) || io.stat(file) === undefined) continue;
      const written = pids.map((pid) => io.readLink(`/proc/${pid}/fd/${fd}`)?.target ?? '');
      const pipe = written.find((target) => target.startsWith('pipe:') && open.has(target));
      if (pipe !== undefined) this.#rescue(taskId, open.get(pipe)!, pipe, file);
    }
  }
  #rescue(taskId: string, path: string, pipe: string, file: string): void {
    const { io, log } = this.#deps;
    const args = ['-c', SCRIPT, 'swarm-output', path, pipe, file, NOTE];
    if (this.#isUnderWay(args)) return;
    log.warn({ task: taskId, file }, 'the disk was full: the output of a container was not copied');
    io.spawn({
      command: '/bin/sh',
      args,
      env: { PATH: '/usr/bin:/bin' },
      cwd: '/',
      stdoutPath: '/dev/null',
      stderrPath: '/dev/null',
      onExit: () => undefined,
    });
  }
  /** By an earlier daemon, too. */
  #isUnderWay(args: readonly string[]): boolean {
    const { io } = this.#deps;
    const wanted = `/bin/sh\0${args.join('\0')}\0`;
    const pids = io.list('/proc').filter((name) => /^\d+$/.test(name));
    return pids.some((pid) => io.read(`/proc/${pid}/cmdline`)?.toString('utf8') === wanted);
  }
  /** 0: there is no such process any more. */
  #parent(pid: number): number {
    const stat = this.#deps.io.read(`/proc/${pid}/stat`)?.toString('utf8') ?? '';
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
  }
}
