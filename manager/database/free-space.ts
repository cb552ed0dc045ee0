import type { Clock, Timer } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Disk } from './disk.ts';

/** How often the disk is asked; nothing tells us by itself. */
const CHECK_MS = 5_000;
/** Writing is allowed again only with this much more room, so that the flag does not flutter. */
const HYSTERESIS = 1.1;

export interface FreeSpaceDeps {
  readonly clock: Clock;
  readonly disk: Disk;
  /** Called on each change. */
  readonly onReadOnly: (readOnly: boolean, freeBytes: number) => void;
}

/** The room that must stay free, in bytes: a tenth of the disk, but never more than the limit. */
export function requiredBytes(totalBytes: number): number {
  return Math.min(LIMITS.freeBytesMin, totalBytes / 10);
}

/** Makes the database read-only for its users before LevelDB meets a full disk. */
export class FreeSpaceGuard {
  readonly #path: string;
  readonly #deps: FreeSpaceDeps;
  #timer: Timer | undefined;
  #stopped = false;
  #readOnly = false;

  constructor(path: string, deps: FreeSpaceDeps) {
    this.#path = path;
    this.#deps = deps;
  }
  get readOnly(): boolean {
    return this.#readOnly;
  }
  async start(): Promise<void> {
    await this.check();
    this.#arm();
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
  async check(): Promise<void> {
    const space = await this.#deps.disk.space(this.#path).catch(() => undefined);
    if (space === undefined || this.#stopped) return;
    const required = requiredBytes(space.totalBytes);
    const limit = this.#readOnly ? required * HYSTERESIS : required;
    const readOnly = space.freeBytes < limit;
    if (readOnly === this.#readOnly) return;
    this.#readOnly = readOnly;
    this.#deps.onReadOnly(readOnly, space.freeBytes);
  }
  #arm(): void {
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.setTimer(CHECK_MS, () => {
      void this.check().then(() => this.#arm());
    });
  }
}
