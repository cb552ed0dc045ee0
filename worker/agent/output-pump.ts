import type { Readable, Writable } from 'node:stream';
import type { Clock } from '../../shared/clock.ts';

/** Output that stays away for this long after its command's end belongs to what it left behind. */
const QUIET_MS = 300;
const LOOK_MS = 50;

/** Copies one output as fast as its reader takes it, and knows whether it waits for more. */
class Pump {
  readonly done: Promise<void>;
  ended = false;
  /** Since when nothing has come, as far as the reader took what came. */
  quietSinceMs: number | undefined;

  constructor(from: Readable, to: Writable, clock: Clock) {
    this.quietSinceMs = clock.monotonicMs();
    this.done = this.#copy(from, to, clock).finally(() => {
      this.ended = true;
    });
  }
  async #copy(from: Readable, to: Writable, clock: Clock): Promise<void> {
    try {
      for await (const chunk of from) {
        this.quietSinceMs = undefined;
        await write(to, chunk as Uint8Array);
        this.quietSinceMs = clock.monotonicMs();
      }
    } catch {
      // The reader went away, or the pipe: what ends the session says why.
    }
  }
}

/** All outputs of one command. */
export class OutputPumps {
  readonly #clock: Clock;
  readonly #pumps: Pump[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  add(from: Readable, to: Writable): void {
    this.#pumps.push(new Pump(from, to, this.#clock));
  }
  /**
   * Resolves when the outputs of a command that has ended were read to their ends. A process that it
   * left behind may keep them open: then when nothing has come for a while since. What it wrote last may
   * still be on its way through others at its end, however quiet it was before.
   */
  async settled(): Promise<void> {
    const endedMs = this.#clock.monotonicMs();
    for (;;) {
      const open = this.#pumps.filter((pump) => !pump.ended);
      const nowMs = this.#clock.monotonicMs();
      const isQuiet = ({ quietSinceMs }: Pump): boolean =>
        nowMs - Math.max(quietSinceMs ?? nowMs, endedMs) >= QUIET_MS;
      if (open.every(isQuiet)) return;
      const ended = Promise.all(open.map(({ done }) => done));
      await Promise.race([ended, delayed(this.#clock, LOOK_MS)]);
    }
  }
}

function delayed(clock: Clock, ms: number): Promise<void> {
  return new Promise((resolve) => clock.setTimer(ms, resolve));
}

/** Resolves when it may take more; rejects when nobody takes it any more. */
export function write(to: Writable, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (to.destroyed) {
      reject(new Error('nobody reads it'));
      return;
    }
    const gone = (): void => reject(new Error('nobody reads it'));
    to.once('close', gone);
    to.write(bytes, (error) => {
      to.off('close', gone);
      if (error) reject(error);
      else resolve();
    });
  });
}
