import {
  AgentMessage,
  DispatcherService,
  type Hello,
  type Liveness,
  type ManagerMessage,
  type Welcome,
} from '../../proto/index.ts';
import { Backoff } from '../../shared/backoff.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import type { Client, Duplex } from '../../shared/rpc/rpc.ts';

const BACKOFF_MIN_MS = 100;
const BACKOFF_MAX_MS = 400;
/** Without a welcome in this time the next manager is asked. */
const WELCOME_MS = 2_000;
/** How long an orderly end may take. */
const FAREWELL_MS = 300;
/** Followers that point at each other are believed only so often in a row. */
const HINTS_MAX = 3;

export interface SessionDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly dial: (address: string) => Client;
  readonly managers: () => readonly string[];
  readonly hello: () => Hello;
  readonly onUp: (welcome: Welcome) => void;
  readonly onDown: () => void;
  readonly onMessage: (message: ManagerMessage) => void;
}

type Stream = Duplex<ManagerMessage, AgentMessage>;

/** Keeps one session with whoever leads, and finds the leader again when it changes. */
export class Session {
  readonly #deps: SessionDeps;
  readonly #backoff: Backoff;
  #stream: Stream | undefined;
  #address = '';
  #up = false;
  #next = 0;
  #hint = '';
  #hints = 0;
  #stopped = false;
  #heartbeat: Timer | undefined;
  #sequence = 0;
  #wake: (() => void) | undefined;
  #done: Promise<void> = Promise.resolve();

  constructor(deps: SessionDeps) {
    this.#deps = deps;
    this.#backoff = new Backoff(deps.random, BACKOFF_MIN_MS, BACKOFF_MAX_MS);
  }
  /** The leader has welcomed this node. */
  get connected(): boolean {
    return this.#up;
  }
  /** Address of the leader of the present session. */
  get address(): string {
    return this.#address;
  }
  start(): void {
    this.#done = this.#run();
  }
  /** `goodbye`: what the leader should take the silence for. */
  async stop(goodbye: Liveness | undefined): Promise<void> {
    this.#stopped = true;
    if (goodbye !== undefined && this.#up) {
      this.#stream?.send(AgentMessage.create({ goodbye: { reason: goodbye } }));
    }
    const stream = this.#stream;
    stream?.end();
    // A leader that does not answer holds nobody up.
    const timer = this.#deps.clock.setTimer(FAREWELL_MS, () => stream?.destroy());
    this.#wake?.();
    await this.#done;
    timer.cancel();
  }
  send(message: AgentMessage): void {
    if (this.#up) this.#stream?.send(message);
  }
  /** Ends the present session; the next begins at once, with a new hello. */
  restart(why: string): void {
    this.#deps.log.info({ why }, 'session closed by the agent');
    this.#stream?.destroy();
  }
  async #run(): Promise<void> {
    while (!this.#stopped) {
      const address = this.#pick();
      const error = address === '' ? undefined : await this.#attend(address);
      if (this.#stopped) return;
      if (this.#follow(error)) continue;
      await this.#pause(this.#backoff.nextDelayMs());
    }
  }
  #pick(): string {
    if (this.#hint !== '') return this.#hint;
    const managers = this.#deps.managers();
    const address = managers[this.#next % Math.max(1, managers.length)] ?? '';
    this.#next++;
    return address;
  }
  /** True when the leader is known and is to be asked at once. */
  #follow(error: unknown): boolean {
    const leader =
      SwarmError.is(error) && error.code === 'NOT_LEADER' ? error.details['leader'] : '';
    this.#hint = leader && leader !== this.#address && this.#hints < HINTS_MAX ? leader : '';
    this.#hints = this.#hint === '' ? 0 : this.#hints + 1;
    return this.#hint !== '';
  }
  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#deps.clock.setTimer(ms, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }
  /** One session from dial to end. Resolves with why it ended. */
  async #attend(address: string): Promise<unknown> {
    const { clock, log } = this.#deps;
    this.#address = address;
    let client: Client | undefined;
    let waiting: Timer | undefined;
    try {
      client = this.#deps.dial(address);
      const stream = client.duplex(DispatcherService.session);
      this.#stream = stream;
      const closed = new Promise<unknown>((resolve) => stream.onClose(resolve));
      waiting = clock.setTimer(WELCOME_MS, () => {
        if (!this.#up) stream.destroy();
      });
      stream.onMessage((message) => this.#receive(message));
      stream.send(AgentMessage.create({ hello: this.#deps.hello() }));
      const error = await closed;
      log.info({ manager: address, error: error ? messageOf(error) : '' }, 'session ended');
      return error;
    } catch (error) {
      log.warn({ manager: address, error: messageOf(error) }, 'no session');
      return error;
    } finally {
      waiting?.cancel();
      this.#down();
      client?.close();
    }
  }
  #receive(message: ManagerMessage): void {
    if (message.welcome && !this.#up) {
      this.#up = true;
      this.#backoff.reset();
      this.#hints = 0;
      this.#deps.log.info({ manager: this.#address }, 'session with the leader');
      this.#beat(message.welcome.heartbeatMs || DEFAULTS.heartbeatMs);
      this.#deps.onUp(message.welcome);
      return;
    }
    this.#deps.onMessage(message);
  }
  #beat(intervalMs: number): void {
    this.#heartbeat = this.#deps.clock.setTimer(intervalMs, () => {
      this.#sequence++;
      this.send(AgentMessage.create({ heartbeat: { sequence: this.#sequence } }));
      this.#beat(intervalMs);
    });
  }
  #down(): void {
    this.#stream = undefined;
    this.#heartbeat?.cancel();
    const wasUp = this.#up;
    this.#up = false;
    if (!wasUp) return;
    // The manager that led may be gone: the next attempt starts with another one.
    this.#hint = '';
    this.#deps.onDown();
  }
}
