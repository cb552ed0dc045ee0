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

/** The daemon was killed at this step. */
export class Cut extends Error {
  override readonly name = 'Cut';
}

/**
 * For tests: a daemon that is killed at its `cutAt`th change of the machine. From then on nothing of
 * it changes anything; what it had started goes on.
 */
export class CutIo implements Io {
  readonly #io: Io;
  readonly #cutAt: number;
  #steps = 0;
  #dead = false;
  /** What was done, in order: says in a failing test where the cut was. */
  readonly trace: string[] = [];

  constructor(io: Io, cutAt: number) {
    this.#io = io;
    this.#cutAt = cutAt;
  }
  get dead(): boolean {
    return this.#dead;
  }
  /** As kill -9 from outside. */
  die(): void {
    this.#dead = true;
  }
  /** Throws when the daemon is dead. */
  check(): void {
    if (this.#dead) throw new Cut('dead');
  }
  /** A change of the machine that does not go through the disk. */
  step(what: string): void {
    this.#step(what);
  }
  #step(what: string): void {
    if (this.#dead) throw new Cut(`dead before ${what}`);
    this.#steps++;
    this.trace.push(what);
    if (this.#steps < this.#cutAt) return;
    this.#dead = true;
    throw new Cut(`cut at step ${this.#steps}: ${what}`);
  }
  mkdir(path: string): void {
    this.#step(`mkdir ${path}`);
    this.#io.mkdir(path);
  }
  write(path: string, bytes: Uint8Array | string): void {
    this.#step(`write ${path}`);
    this.#io.write(path, bytes);
  }
  append(path: string, bytes: Uint8Array): void {
    this.#step(`append ${path}`);
    this.#io.append(path, bytes);
  }
  create(path: string, bytes: Uint8Array | string): boolean {
    this.#step(`create ${path}`);
    return this.#io.create(path, bytes);
  }
  symlink(target: string, path: string): boolean {
    this.#step(`symlink ${path}`);
    return this.#io.symlink(target, path);
  }
  async fsync(path: string): Promise<void> {
    this.#step(`fsync ${path}`);
    await this.#io.fsync(path);
    // Killed while the disk was still busy: who waited never learns of it.
    if (this.#dead) throw new Cut(`dead in fsync ${path}`);
  }
  rename(from: string, to: string): void {
    this.#step(`rename ${to}`);
    this.#io.rename(from, to);
  }
  chmod(path: string, mode: number): void {
    this.#step(`chmod ${path}`);
    this.#io.chmod(path, mode);
  }
  truncate(path: string, length: number): void {
    this.#step(`truncate ${path}`);
    this.#io.truncate(path, length);
  }
  unlink(path: string): void {
    this.#step(`unlink ${path}`);
    this.#io.unlink(path);
  }
  removeTree(path: string): void {
    this.#step(`removeTree ${path}`);
    this.#io.removeTree(path);
  }
  rmdir(path: string): void {
    this.#step(`rmdir ${path}`);
    this.#io.rmdir(path);
  }
  spawn(request: SpawnRequest): void {
    this.#step(`spawn ${request.command}`);
    this.#io.spawn(request);
  }
  open(request: OpenRequest): OpenProcess {
    this.#step(`open ${request.command}`);
    return this.#io.open(request);
  }
  kill(pid: number, signal: string): boolean {
    this.#step(`kill ${pid} ${signal}`);
    return this.#io.kill(pid, signal);
  }
  async run(request: RunRequest): Promise<RunResult> {
    this.#step(`run ${request.command}`);
    return this.#io.run(request);
  }
  alive(pid: number): boolean {
    return this.#io.alive(pid);
  }
  read(path: string): Buffer | undefined {
    return this.#io.read(path);
  }
  readAt(path: string, offset: number, length: number): Buffer {
    return this.#io.readAt(path, offset, length);
  }
  tap(path: string): Tap {
    return this.#io.tap(path);
  }
  readLink(path: string): { readonly target: string; readonly mtimeMs: number } | undefined {
    return this.#io.readLink(path);
  }
  list(path: string): readonly string[] {
    return this.#io.list(path);
  }
  stat(path: string): FileStat | undefined {
    return this.#io.stat(path);
  }
  node(path: string): FileNode | undefined {
    return this.#io.node(path);
  }
  realPath(path: string): string | undefined {
    return this.#io.realPath(path);
  }
  executable(path: string): boolean {
    return this.#io.executable(path);
  }
  watch(directory: string, fn: (name: string) => void): { close(): void } {
    return this.#io.watch(directory, fn);
  }
}
