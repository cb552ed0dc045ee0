import { readFileSync } from 'node:fs';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { NetdClient } from './netd-client.ts';

/** How a netd that hangs is found: one that is only slow on a busy machine must not be. */
export interface PulseTimes {
  readonly everyMs: number;
  /** It is asked twice, and has so long for each answer. */
  readonly answerMs: number;
}
export const PULSE: PulseTimes = { everyMs: 3_000, answerMs: 5_000 };

/** Asks a netd for a sign of life, for as long as its connection stands. */
export class NetdPulse {
  readonly #clock: Clock;
  readonly #times: PulseTimes;
  readonly #onSilent: () => void;
  #timer: Timer | undefined;
  #client: NetdClient | undefined;
  #missed = false;

  constructor(clock: Clock, times: PulseTimes, onSilent: () => void) {
    this.#clock = clock;
    this.#times = times;
    this.#onSilent = onSilent;
  }
  follow(client: NetdClient): void {
    this.stop();
    this.#client = client;
    this.#later();
  }
  stop(): void {
    this.#timer?.cancel();
    this.#client = undefined;
    this.#missed = false;
  }
  #later(): void {
    this.#timer = this.#clock.setTimer(this.#times.everyMs, () => this.#ask());
  }
  #ask(): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#timer = this.#clock.setTimer(this.#times.answerMs, () => this.#silent());
    // Any question does; no task has an empty name.
    void client.count('').then(() => {
      if (this.#client !== client) return;
      this.#timer?.cancel();
      this.#missed = false;
      this.#later();
    });
  }
  /** The first time it may be this process that stood still: the answer is waiting to be read. */
  #silent(): void {
    if (this.#missed) {
      this.stop();
      this.#onSilent();
      return;
    }
    this.#missed = true;
    this.#timer = this.#clock.setTimer(this.#times.answerMs, () => this.#silent());
  }
}

const LISTENS = 0x10000;

/**
 * The netd that holds the name of this socket, found without its help: each binds a name of its own,
 * which tells its pid, and the kernel lists it.
 */
export function netdAt(socketPath: string, proc = '/proc'): number | undefined {
  // Num RefCount Protocol Flags Type St Inode Path
  for (const line of read(`${proc}/net/unix`).split('\n')) {
    const [, , , flags = '', , , , path = ''] = line.trim().split(/\s+/);
    if ((Number.parseInt(flags, 16) & LISTENS) === 0 || !path.startsWith(`${socketPath}.`))
      continue;
    const pid = Number.parseInt(path.slice(socketPath.length + 1), 36);
    if (read(`${proc}/${pid}/cmdline`).includes(socketPath)) return pid;
  }
  return undefined;
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
