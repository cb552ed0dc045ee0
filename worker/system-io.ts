import { type ChildProcess, spawn } from 'node:child_process';
import * as fs from 'node:fs';
import { dirname } from 'node:path';
import type { Clock } from '../shared/clock.ts';
import type {
  FileNode,
  FileStat,
  Io,
  OpenProcess,
  OpenRequest,
  RunRequest,
  RunResult,
  SpawnRequest,
  Tap,
} from './io.ts';
import { openProcess } from './open-process.ts';

const PIPE_WAIT_MS = 100;

/** The real disk and real processes. */
export class SystemIo implements Io {
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  mkdir(path: string): void {
    fs.mkdirSync(path, { recursive: true, mode: 0o700 });
  }
  write(path: string, bytes: Uint8Array | string): void {
    fs.writeFileSync(path, bytes, { mode: 0o600 });
  }
  append(path: string, bytes: Uint8Array): void {
    fs.appendFileSync(path, bytes, { mode: 0o600 });
  }
  create(path: string, bytes: Uint8Array | string): boolean {
    return !whenPresent(() => fs.writeFileSync(path, bytes, { mode: 0o600, flag: 'wx' }));
  }
  symlink(target: string, path: string): boolean {
    return !whenPresent(() => fs.symlinkSync(target, path));
  }
  fsync(path: string): Promise<void> {
    const fd = fs.openSync(path, 'r');
    return new Promise((resolve, reject) => {
      fs.fsync(fd, (error) => {
        fs.closeSync(fd);
        if (error) reject(error);
        else resolve();
      });
    });
  }
  rename(from: string, to: string): void {
    fs.renameSync(from, to);
  }
  chmod(path: string, mode: number): void {
    fs.chmodSync(path, mode);
  }
  truncate(path: string, length: number): void {
    fs.truncateSync(path, length);
  }
  unlink(path: string): void {
    fs.rmSync(path, { force: true });
  }
  removeTree(path: string): void {
    fs.rmSync(path, { force: true, recursive: true });
  }
  spawn(request: SpawnRequest): void {
    const out = fs.openSync(request.stdoutPath, 'a', 0o600);
    const err = fs.openSync(request.stderrPath, 'a', 0o600);
    try {
      const child = spawn(request.command, [...request.args], {
        cwd: request.cwd,
        env: { ...request.env },
        detached: true,
        stdio: ['ignore', out, err],
      });
      child.once('error', (error) => request.onExit(error));
      child.once('exit', () => request.onExit(undefined));
      child.unref();
    } finally {
      fs.closeSync(out);
      fs.closeSync(err);
    }
  }
  open(request: OpenRequest): OpenProcess {
    return openProcess(request);
  }
  rmdir(path: string): void {
    orMissing(() => fs.rmdirSync(path));
  }
  kill(pid: number, signal: string): boolean {
    try {
      return process.kill(pid, signal as NodeJS.Signals);
    } catch (error) {
      if (codeOf(error) === 'ESRCH') return false;
      throw error;
    }
  }
  alive(pid: number): boolean {
    try {
      return process.kill(pid, 0);
    } catch (error) {
      return codeOf(error) === 'EPERM';
    }
  }
  run(request: RunRequest): Promise<RunResult> {
    return runToEnd(request, this.#clock);
  }
  read(path: string): Buffer | undefined {
    // Many are asked for that are not there, and an error costs ten times what this look does.
    return fs.existsSync(path) ? orMissing(() => fs.readFileSync(path)) : undefined;
  }
  readAt(path: string, offset: number, length: number): Buffer {
    const fd = fs.openSync(path, 'r');
    try {
      const buffer = Buffer.allocUnsafe(length);
      return buffer.subarray(0, fs.readSync(fd, buffer, 0, length, offset));
    } finally {
      fs.closeSync(fd);
    }
  }
  tap(path: string): Tap {
    const { O_RDONLY, O_NONBLOCK } = fs.constants;
    const fd = orMissing(() => fs.openSync(path, O_RDONLY | O_NONBLOCK));
    return { read: () => (fd === undefined ? Buffer.alloc(0) : readWhatIsThere(fd)) };
  }
  readLink(path: string): { readonly target: string; readonly mtimeMs: number } | undefined {
    return orMissing(() => ({
      target: fs.readlinkSync(path),
      mtimeMs: fs.lstatSync(path).mtimeMs,
    }));
  }
  list(path: string): readonly string[] {
    return orMissing(() => fs.readdirSync(path)) ?? [];
  }
  stat(path: string): FileStat | undefined {
    const stat = orMissing(() => fs.statSync(path, { throwIfNoEntry: false }));
    if (stat === undefined) return undefined;
    const { size, mtimeMs, uid, mode } = stat;
    return { size, mtimeMs, uid, mode, directory: stat.isDirectory() };
  }
  node(path: string): FileNode | undefined {
    const stat = fs.lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const { mode, uid, gid, rdev } = stat;
    return { kind: kindOf(stat), major: majorOf(rdev), minor: minorOf(rdev), mode, uid, gid };
  }
  realPath(path: string): string | undefined {
    return orMissing(() => fs.realpathSync(path));
  }
  executable(path: string): boolean {
    try {
      fs.accessSync(path, fs.constants.X_OK);
      return fs.statSync(path).isFile();
    } catch {
      return false;
    }
  }
  watch(directory: string, fn: (name: string) => void): { close(): void } {
    const watcher = fs.watch(directory, { persistent: false }, (_event, name) => {
      if (name !== null) fn(name);
    });
    watcher.on('error', () => undefined);
    return watcher;
  }
}

function kindOf(stat: fs.Stats): FileNode['kind'] {
  if (stat.isCharacterDevice()) return 'c';
  if (stat.isBlockDevice()) return 'b';
  if (stat.isDirectory()) return 'd';
  return stat.isSymbolicLink() ? 'l' : '-';
}

/** As glibc packs them into a device number; more than 32 bits are used by nobody. */
function majorOf(rdev: number): number {
  return (rdev >>> 8) & 0xfff;
}
function minorOf(rdev: number): number {
  return (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
}

/** Makes what a rename in this file's directory did survive a power cut. */
export function fsyncDirectoryOf(io: Io, path: string): Promise<void> {
  return io.fsync(dirname(path));
}

/** The `code` of a Node error, or an empty text. */
function codeOf(error: unknown): string {
  return (error as { code?: string } | null)?.code ?? '';
}

function runToEnd(request: RunRequest, clock: Clock): Promise<RunResult> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let size = 0;
    let timedOut = false;
    let child: ChildProcess;
    try {
      child = spawn(request.command, [...request.args], {
        ...(request.env === undefined ? {} : { env: { ...request.env } }),
        ...(request.cwd === undefined ? {} : { cwd: request.cwd }),
        detached: true,
        stdio: [request.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      });
    } catch (error) {
      resolve({ code: -1, output: String(error), timedOut: false });
      return;
    }
    const take = (chunk: Buffer): void => {
      if (size < request.outputBytesMax)
        chunks.push(chunk.subarray(0, request.outputBytesMax - size));
      size += chunk.length;
    };
    const timer = clock.setTimer(request.timeoutMs, () => {
      timedOut = true;
      killGroup(child);
    });
    const finish = (code: number, text: string): void => {
      timer.cancel();
      child.stdout?.destroy();
      child.stderr?.destroy();
      resolve({ code: timedOut ? -1 : code, output: text, timedOut });
    };
    child.stdout?.on('data', take);
    child.stderr?.on('data', take);
    child.once('error', (error) => finish(-1, error.message));
    // A program that ends without reading everything says why by its exit code.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(request.input);
    const done = (code: number | null): void =>
      finish(code ?? -1, Buffer.concat(chunks).toString('utf8'));
    child.once('close', done);
    // A grandchild that holds the pipes open is not waited for.
    child.once('exit', (code) => clock.setTimer(PIPE_WAIT_MS, () => done(code)));
  });
}

function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    child.kill('SIGKILL');
  }
}

function whenPresent(fn: () => void): boolean {
  try {
    fn();
    return false;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return true;
    throw error;
  }
}

/** One record of the kernel's log has at most this much. */
const RECORD_BYTES = 8_192;

function readWhatIsThere(fd: number): Buffer {
  const chunks: Buffer[] = [];
  for (let chunk = readOnce(fd); chunk !== undefined; chunk = readOnce(fd)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Undefined: no more for now. */
function readOnce(fd: number): Buffer | undefined {
  const buffer = Buffer.allocUnsafe(RECORD_BYTES);
  try {
    const length = fs.readSync(fd, buffer);
    return length === 0 ? undefined : buffer.subarray(0, length);
  } catch (error) {
    if (codeOf(error) === 'EAGAIN') return undefined;
    // The log was overtaken by what the kernel wrote meanwhile: the next one is the oldest that it has.
    if (codeOf(error) === 'EPIPE') return Buffer.alloc(0);
    throw error;
  }
}

function orMissing<T>(fn: () => T): T | undefined {
  try {
    return fn();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ESRCH'].includes(codeOf(error))) return undefined;
    throw error;
  }
}
