import { join } from 'node:path';
import type { Clock, Timer } from '../../../shared/clock.ts';
import type { Io } from '../../io.ts';
import { NO_ENTRY, parseRunName, type RunEntry, type RunFile, withFile } from './run-files.ts';

/** The kernel may forget a notice under load: this often the directory is read again. */
const POLL_MS = 250;
/** Every so many polls the supervisors that somebody waits for are looked at. */
const LIVENESS_POLLS = 4;

export interface RunDirectoryDeps {
  readonly io: Io;
  readonly clock: Clock;
  readonly directory: string;
}

/**
 * An index over the run directory, kept current by one watch for all tasks. Costs nothing while
 * nobody waits.
 */
export class RunDirectory {
  readonly path: string;
  readonly #io: Io;
  readonly #clock: Clock;
  readonly #entries = new Map<string, RunEntry>();
  readonly #waiters = new Map<string, Set<() => void>>();
  readonly #pids = new Map<string, number>();
  #watch: { close(): void } | undefined;
  #timer: Timer | undefined;
  #polls = 0;
  #opened = false;

  constructor(deps: RunDirectoryDeps) {
    this.#io = deps.io;
    this.#clock = deps.clock;
    this.path = deps.directory;
  }
  open(): void {
    this.#io.mkdir(this.path);
    this.#opened = true;
    try {
      this.#watch = this.#io.watch(this.path, (name) => this.#noticed(name));
    } catch {
      // The user's watches are used up: polling alone notices everything, only later.
    }
    this.scan();
  }
  close(): void {
    this.#opened = false;
    this.#watch?.close();
    this.#timer?.cancel();
    this.#timer = undefined;
  }
  base(id: string): string {
    return join(this.path, id);
  }
  ids(): readonly string[] {
    return [...this.#entries.keys()];
  }
  entry(id: string): RunEntry {
    return this.#entries.get(id) ?? NO_ENTRY;
  }
  /** Reads the directory anew: what is there now, whatever the kernel told. */
  scan(): void {
    const found = new Map<string, RunEntry>();
    for (const name of this.#io.list(this.path)) {
      const parsed = parseRunName(name);
      if (!parsed) continue;
      found.set(parsed.id, withFile(found.get(parsed.id) ?? NO_ENTRY, parsed.file));
    }
    const before = new Map(this.#entries);
    this.#entries.clear();
    for (const [id, entry] of found) this.#entries.set(id, entry);
    for (const id of this.#waiters.keys()) {
      if (!same(before.get(id) ?? NO_ENTRY, this.entry(id))) this.wake(id);
    }
  }
  /** The supervisor whose end wakes who waits for this task. */
  follow(id: string, supervisor: number): void {
    this.#pids.set(id, supervisor);
  }
  /** What this daemon itself wrote, before the kernel tells. */
  note(id: string, file: RunFile): void {
    this.#entries.set(id, withFile(this.entry(id), file));
  }
  forget(id: string): void {
    this.#entries.delete(id);
    this.#pids.delete(id);
  }
  wake(id: string): void {
    for (const fn of [...(this.#waiters.get(id) ?? [])]) fn();
  }
  /** Resolves at the next change of this task's files, or when its supervisor is gone. */
  changed(id: string, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters.get(id) ?? new Set();
      this.#waiters.set(id, waiters);
      const done = (): void => {
        waiters.delete(fire);
        if (waiters.size === 0 && this.#waiters.get(id) === waiters) this.#waiters.delete(id);
        signal?.removeEventListener('abort', abort);
      };
      const fire = (): void => {
        done();
        resolve();
      };
      const abort = (): void => {
        done();
        reject(signal?.reason);
      };
      waiters.add(fire);
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted) abort();
      this.#arm();
    });
  }
  #noticed(name: string): void {
    const parsed = parseRunName(name);
    if (!parsed) return;
    // A notice comes for deletions as well: the file itself decides.
    if (this.#io.stat(join(this.path, name)) === undefined) return;
    this.#entries.set(parsed.id, withFile(this.entry(parsed.id), parsed.file));
    this.wake(parsed.id);
  }
  #arm(): void {
    if (this.#timer || !this.#opened) return;
    this.#timer = this.#clock.setTimer(POLL_MS, () => {
      this.#timer = undefined;
      if (this.#waiters.size === 0) return;
      this.scan();
      this.#polls++;
      if (this.#polls % LIVENESS_POLLS === 0) this.#checkLiveness();
      this.#arm();
    });
  }
  #checkLiveness(): void {
    for (const id of [...this.#waiters.keys()]) {
      const pid = this.#pids.get(id);
      // Who has not named a supervisor yet looks for itself.
      if (pid === undefined || !this.#io.alive(pid)) this.wake(id);
    }
  }
}

function same(a: RunEntry, b: RunEntry): boolean {
  return (
    a.prepared === b.prepared &&
    a.claimed === b.claimed &&
    a.started === b.started &&
    a.exitCode === b.exitCode
  );
}
