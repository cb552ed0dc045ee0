import type { Readable, Writable } from 'node:stream';

/**
 * The disk and the processes of a node, as the worker touches them. Everything that changes the
 * machine goes through here, so that a test can end the daemon at each single step. Small steps are
 * synchronous (a write of a few hundred bytes takes microseconds); only what waits for the disk is
 * not. Errors are Node's own, with `code`.
 */
export interface Io {
  /** With its parents, mode 0700. There already: nothing happens. */
  mkdir(path: string): void;
  /** Creates or replaces a file, mode 0600. */
  write(path: string, bytes: Uint8Array | string): void;
  /** Adds to the end of a file, creating it with mode 0600. */
  append(path: string, bytes: Uint8Array): void;
  /** Creates a file with this content; false when there is one already. */
  create(path: string, bytes: Uint8Array | string): boolean;
  /** False when there is something already. */
  symlink(target: string, path: string): boolean;
  /** Resolves when the file or directory is on the disk. */
  fsync(path: string): Promise<void>;
  rename(from: string, to: string): void;
  chmod(path: string, mode: number): void;
  truncate(path: string, length: number): void;
  /** Missing already: nothing happens. */
  unlink(path: string): void;
  removeTree(path: string): void;
  /** One empty directory; missing already: nothing happens. */
  rmdir(path: string): void;
  /** Starts a process in its own session; its end is told by `onExit`. */
  spawn(request: SpawnRequest): void;
  /** Starts a process in its own session that this daemon talks with. Never throws. */
  open(request: OpenRequest): OpenProcess;
  /** False when there is no such process. A negative number means a process group. */
  kill(pid: number, signal: string): boolean;
  alive(pid: number): boolean;
  /** Runs a short program to its end; never throws. */
  run(request: RunRequest): Promise<RunResult>;

  /** Undefined when there is no such file. */
  read(path: string): Buffer | undefined;
  /** Up to `length` bytes from `offset`. */
  readAt(path: string, offset: number, length: number): Buffer;
  /** A device that is read as it goes on; nothing comes of one that is not there. Never closed. */
  tap(path: string): Tap;
  /** Undefined when there is no such link. */
  readLink(path: string): { readonly target: string; readonly mtimeMs: number } | undefined;
  /** Names in a directory; none when it is not there. */
  list(path: string): readonly string[];
  /** Undefined when there is no such file. Times are wall milliseconds. */
  stat(path: string): FileStat | undefined;
  /** What is there itself, links not followed; undefined: nothing. */
  node(path: string): FileNode | undefined;
  /** The same place without links; undefined: there is nothing. */
  realPath(path: string): string | undefined;
  /** True when this daemon may execute the file. */
  executable(path: string): boolean;
  /** Names of changed entries as the kernel tells them; it may forget some under load. */
  watch(directory: string, fn: (name: string) => void): { close(): void };
}

export interface Tap {
  /** What has come since the last call, without a wait for more. */
  read(): Buffer;
}

export interface FileStat {
  readonly size: number;
  readonly mtimeMs: number;
  readonly directory: boolean;
  readonly uid: number;
  readonly mode: number;
}

export interface FileNode {
  /** Character or block device, directory, link, or anything else. */
  readonly kind: 'c' | 'b' | 'd' | 'l' | '-';
  /** Of a device. */
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface SpawnRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: { readonly [key: string]: string };
  readonly cwd: string;
  /** Files that standard output and error are appended to. */
  readonly stdoutPath: string;
  readonly stderrPath: string;
  /** Called once: the process ended, or could not be started. */
  readonly onExit: (error: Error | undefined) => void;
}

export interface RunRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: { readonly [key: string]: string };
  readonly cwd?: string;
  /** Killed, with its whole process group, after this long. */
  readonly timeoutMs: number;
  /** Output beyond this many bytes is cut off. */
  readonly outputBytesMax: number;
  /** What it reads; default: nothing. */
  readonly input?: string;
}

/** `code` is -1 when it could not be started or ran out of time; `output` then says so. */
export interface RunResult {
  readonly code: number;
  readonly output: string;
  readonly timedOut: boolean;
}

export interface OpenRequest {
  readonly command: string;
  readonly args: readonly string[];
  readonly env: { readonly [key: string]: string };
  readonly cwd: string;
}

/** A process at the other ends of four pipes. Dead pipes do no harm: nobody hears of it. */
export interface OpenProcess {
  /** 0: it could not be started. */
  readonly pid: number;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** What it writes to its file descriptor 3. */
  readonly notes: Readable;
  /** As a shell says it: 128 and the signal's number. Rejects when it could not be started. */
  readonly exit: Promise<number>;
}
