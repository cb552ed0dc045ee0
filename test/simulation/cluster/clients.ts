import type { Draft } from '../../../manager/store/view.ts';
import { SwarmError } from '../../../shared/errors.ts';
import type { Random } from '../../../shared/random.ts';
import { Histories, type Input, type Seen } from './histories.ts';
import type { Machine, World } from './machine.ts';
import type { ManagerProcess } from './manager-process.ts';
import {
  appendToRegister,
  leaveToken,
  NEVER_WRITTEN,
  REGISTERS,
  readRegister,
  writeRegister,
} from './registers.ts';

/** A longer list is replaced by a write. */
const APPEND_MAX = 60;
const ATTEMPTS = 3;
/** A caller waits no longer, whatever becomes of the machine it asked. */
const CALL_MS = 5_000;
/** Who left a caller without an answer is asked again after this time. */
const AVOID_MS = 10_000;

type Outcome = 'done' | 'conflict' | 'refused' | 'unknown';
interface Known {
  readonly value: string;
  readonly version: number;
}

/** Users of the cluster: each does one thing after the other, and remembers what it was told. */
export class Clients {
  readonly #world: World;
  readonly #machines: readonly Machine[];
  readonly #histories = new Histories();
  readonly #avoidedUntilMs = new WeakMap<ManagerProcess, number>();
  #stopped = false;
  #isAway = false;
  answered = 0;

  constructor(world: World, machines: readonly Machine[]) {
    this.#world = world;
    this.#machines = machines;
  }

  /** `readers` of them do nothing but read, besides the others. */
  start(count: number, readers = 0): void {
    for (let i = 0; i < count + readers; i++) void this.#run(i, i >= count);
  }
  stop(): void {
    this.#stopped = true;
  }

  /** An operator is at work: nobody asks for anything. */
  leave(): void {
    this.#isAway = true;
  }
  /** The operator changed nothing. */
  stay(): void {
    this.#isAway = false;
  }
  /** The cluster goes on in a new epoch, with what this manager loaded. */
  comeBack({ store }: ManagerProcess): void {
    const values = REGISTERS.map((key) => [key, readRegister(store.view, key)] as const);
    this.#histories.newEra(new Map(values.filter(([, value]) => value !== NEVER_WRITTEN)));
    this.#isAway = false;
  }

  /** Judges everything that clients saw. Undefined: too much was left open to tell. */
  judge(): boolean | undefined {
    return this.#histories.judge();
  }

  explain(): string {
    return this.#histories.explain();
  }

  async #run(client: number, isReader: boolean): Promise<void> {
    const random = this.#world.random.stream(`client ${client}`);
    const seen = new Map<string, Known>();
    let { era } = this.#histories;
    for (let i = 0; !this.#stopped; i++) {
      await this.#pause(random.below(60));
      if (this.#isAway) continue;
      if (era !== this.#histories.era) seen.clear();
      era = this.#histories.era;
      const key = REGISTERS[random.below(REGISTERS.length)]!;
      const choice = random.below(10);
      if (isReader || choice < 4) await this.#read(random, key, seen);
      else await this.#write(random, key, `c${client}.${i}`, choice, seen.get(key));
    }
  }

  async #read(random: Random, key: string, seen: Map<string, Known>): Promise<void> {
    const process = this.#choose(random);
    if (!process) return;
    const { checker, counters } = this.#world;
    const { era } = this.#histories;
    const call = this.#histories.stamp();
    const floor = checker.answers.newestIndex;
    const index = await this.#call(process, () => process.driver.readIndex());
    if (index instanceof Error) checker.refused(process, index);
    if (typeof index !== 'number' || era !== this.#histories.era) {
      counters.count(index instanceof Error ? 'read refused' : 'read lost');
      return;
    }
    checker.answers.readServed(process, index, floor);
    const { view } = process.store;
    const value = readRegister(view, key);
    seen.set(key, { value, version: view.table('cluster').get(key)?.version ?? 0 });
    counters.count('read served');
    if (!process.driver.isLeader) counters.count('read served by a follower');
    const end = this.#histories.stamp();
    this.#histories.begin({ call, end, input: { kind: 'read', key }, output: { value } });
  }

  async #write(
    random: Random,
    key: string,
    token: string,
    choice: number,
    seen: Known | undefined,
  ): Promise<void> {
    const isCas = choice < 6 && seen !== undefined;
    const isAppend = !isCas && choice < 8 && (seen?.value.length ?? 0) < APPEND_MAX;
    const input: Input = isCas
      ? { kind: 'cas', key, from: seen.value, to: token }
      : { kind: isAppend ? 'append' : 'write', key, value: token };
    const call = this.#histories.stamp();
    const operation: Seen = { call, end: Number.POSITIVE_INFINITY, input, output: undefined };
    this.#histories.begin(operation);
    const outcome = await this.#attempts(random, input, token, seen?.version ?? 0);
    this.#world.counters.count(`write ${outcome}`);
    this.#note(operation, token, outcome);
  }

  #note(operation: Seen, token: string, outcome: Outcome): void {
    const { answers } = this.#world.checker;
    if (outcome === 'unknown') return;
    if (outcome === 'refused') {
      answers.refused(token);
      this.#histories.drop(operation);
      return;
    }
    if (outcome === 'done') {
      answers.answered(token);
      this.answered++;
    }
    operation.output = operation.input.kind === 'cas' ? { ok: outcome === 'done' } : {};
    operation.end = this.#histories.stamp();
  }

  /** The same request, at most three times, as long as nobody knows what became of it. */
  async #attempts(random: Random, input: Input, token: string, version: number): Promise<Outcome> {
    const { era } = this.#histories;
    let isOpen = false;
    let last: ManagerProcess | undefined;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      // What was begun in an epoch that has ended is not gone on with.
      if (era !== this.#histories.era || this.#isAway) return 'unknown';
      const process = this.#choose(random, last);
      last = process;
      const result = process ? await this.#attempt(process, input, token, version) : 'refused';
      // What became of it in an epoch that has ended is nobody's to tell.
      if (era !== this.#histories.era || this.#isAway) return 'unknown';
      if (result === 'done') {
        if (isOpen) this.#world.counters.count('retry answered');
        return 'done';
      }
      if (result === 'conflict') return isOpen ? 'unknown' : 'conflict';
      if (result === 'unknown') isOpen = true;
      else if (!isOpen) return 'refused';
      await this.#pause(20 + random.below(400));
    }
    return isOpen ? 'unknown' : 'refused';
  }

  async #attempt(
    process: ManagerProcess,
    input: Input,
    token: string,
    version: number,
  ): Promise<Outcome> {
    const change = (draft: Draft): string => {
      const before = draft.table('cluster').get(input.key)?.version ?? 0;
      if (input.kind === 'cas' && before !== version)
        throw new SwarmError('VERSION_CONFLICT', 'changed meanwhile');
      const write = input.kind === 'append' ? appendToRegister : writeRegister;
      write(draft, input.key, token, process.isNewer);
      leaveToken(draft, token, process.isNewer);
      return token;
    };
    const options = { writer: 'users', requestId: token, timeoutMs: 3_000 } as const;
    const result = await this.#call(process, () => process.store.update(change, options));
    if (result === token) return 'done';
    if (!(result instanceof Error)) return 'unknown';
    const code = SwarmError.is(result) ? result.code : 'INTERNAL';
    this.#world.checker.refused(process, result);
    this.#world.counters.count(`update rejected: ${code}`);
    if (code === 'MAYBE_DONE' && !process.isDead && !process.driver.isLeader)
      this.#world.counters.count('leader changed with a group in flight');
    if (code === 'VERSION_CONFLICT') return 'conflict';
    return code === 'MAYBE_DONE' || code === 'DEADLINE' ? 'unknown' : 'refused';
  }

  /**
   * Most often one that says it leads: there may be two. Not the one that was asked last, nor one
   * that gave no answer: it may stand still, and says for ever that it leads.
   */
  #choose(random: Random, last?: ManagerProcess): ManagerProcess | undefined {
    const { nowMs } = this.#world.timeline;
    const up = this.#machines.flatMap(({ isUp, process }) => {
      if (!isUp || !process || process === last) return [];
      return (this.#avoidedUntilMs.get(process) ?? 0) > nowMs ? [] : [process];
    });
    const leaders = up.filter((process) => process.driver.isLeader);
    const among = leaders.length > 0 && random.below(10) < 7 ? leaders : up;
    return among.length === 0 ? undefined : among[random.below(among.length)];
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#world.timeline.after(delayMs, resolve));
  }

  /** The result, the error, or undefined when nothing was heard in time. */
  #call<T>(process: ManagerProcess, ask: () => Promise<T>): Promise<T | Error | undefined> {
    const { timeline } = this.#world;
    return new Promise((resolve) => {
      const end = (): void => finish(undefined);
      const late = (): void => {
        this.#avoidedUntilMs.set(process, timeline.nowMs + AVOID_MS);
        end();
      };
      const finish = (result: T | Error | undefined): void => {
        process.callers.delete(end);
        timer.cancel();
        // What a dead process still has in its queues reaches nobody.
        resolve(process.isDead ? undefined : result);
      };
      const timer = timeline.after(CALL_MS, late);
      process.callers.add(end);
      // On the machine: one that stands still hears of it when it goes on.
      timeline.after(0.1, () => ask().then(finish, (error: Error) => finish(error)), process);
    });
  }
}
