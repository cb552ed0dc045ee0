import type { Draft } from '../../manager/store/view.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Random } from '../../shared/random.ts';
import {
  NOTHING,
  type RegisterInput,
  type RegisterOutput,
} from '../conformance/linearizability/models.ts';
import { isLinearizable, type Model, type Operation } from '../conformance/linearizability/wgl.ts';
import type { Checker } from './checker.ts';
import type { Counters } from './counters.ts';
import type { Machine, ManagerProcess } from './machine.ts';
import { leaveToken, readRegister, writeRegister } from './register-rows.ts';
import type { Timeline } from './timeline.ts';

type Input = (RegisterInput | { readonly kind: 'append'; readonly value: string }) & {
  readonly key: string;
};

/** Registers by key, with compare-and-set and append. */
const registers: Model<string, Input, RegisterOutput> = {
  initial: NOTHING,
  stateKey: (state) => state,
  partition: (input) => input.key,
  step(state, input, output) {
    if (input.kind === 'read')
      return output === undefined || output.value === state ? { state } : undefined;
    if (input.kind === 'write') return { state: input.value };
    if (input.kind === 'append') return { state: `${state} ${input.value}` };
    const fits = state === input.from;
    if (output !== undefined && output.ok !== fits) return undefined;
    return { state: fits ? input.to : state };
  },
};

/** An operation; open until its end is known. */
interface Seen extends Operation<Input, RegisterOutput> {
  end: number;
  output: RegisterOutput | undefined;
}

const KEYS = 4;
/** A longer list is replaced by a write. */
const APPEND_MAX = 60;
const ATTEMPTS = 3;
const JUDGE_STEPS_MAX = 400_000;
/** A caller waits no longer, whatever becomes of the machine it asked. */
const CALL_MS = 5_000;

export interface ClientDeps {
  readonly timeline: Timeline;
  readonly checker: Checker;
  readonly counters: Counters;
  readonly random: Random;
  readonly machines: readonly Machine[];
}

/** Users of the cluster: each does one thing after the other, and remembers what it was told. */
export class Clients {
  readonly #deps: ClientDeps;
  readonly #history: Seen[] = [];
  #stamp = 0;
  #stopped = false;
  answered = 0;

  constructor(deps: ClientDeps) {
    this.#deps = deps;
  }

  start(count: number): void {
    for (let i = 0; i < count; i++) void this.#run(i);
  }
  stop(): void {
    this.#stopped = true;
  }

  /** Judges everything that clients saw. Undefined: too much was left open to tell. */
  judge(): boolean | undefined {
    return isLinearizable(registers, this.#history, JUDGE_STEPS_MAX);
  }

  async #run(client: number): Promise<void> {
    const random = this.#deps.random.stream(`client ${client}`);
    const seen = new Map<string, { value: string; version: number }>();
    for (let i = 0; !this.#stopped; i++) {
      await this.#pause(random.below(60));
      const key = `r${random.below(KEYS)}`;
      const token = `c${client}.${i}`;
      const choice = random.below(10);
      if (choice < 4) await this.#read(random, key, seen);
      else await this.#write(random, key, token, choice, seen.get(key));
    }
  }

  async #read(
    random: Random,
    key: string,
    seen: Map<string, { value: string; version: number }>,
  ): Promise<void> {
    const process = this.#choose(random);
    if (!process) return;
    const { checker, counters } = this.#deps;
    const call = ++this.#stamp;
    const floor = checker.answeredIndex;
    const index = await this.#call(process, () => process.driver.readIndex());
    if (typeof index !== 'number') {
      counters.count(index instanceof Error ? 'read refused' : 'read lost');
      return;
    }
    checker.readServed(process, index, floor);
    const { view } = process.store;
    const value = readRegister(view, key);
    seen.set(key, { value, version: view.table('cluster').get(key)?.version ?? 0 });
    counters.count('read served');
    if (!process.driver.isLeader) counters.count('read served by a follower');
    this.#history.push({
      call,
      end: ++this.#stamp,
      input: { kind: 'read', key },
      output: { value },
    });
  }

  async #write(
    random: Random,
    key: string,
    token: string,
    choice: number,
    seen: { value: string; version: number } | undefined,
  ): Promise<void> {
    const isCas = choice < 6 && seen !== undefined;
    const isAppend = !isCas && choice < 8 && (seen?.value.length ?? 0) < APPEND_MAX;
    const input: Input = isCas
      ? { kind: 'cas', key, from: seen.value, to: token }
      : { kind: isAppend ? 'append' : 'write', key, value: token };
    const call = ++this.#stamp;
    const operation: Seen = { call, end: Number.POSITIVE_INFINITY, input, output: undefined };
    this.#history.push(operation);
    const outcome = await this.#attempts(random, input, token, seen?.version ?? 0);
    const { counters, checker } = this.#deps;
    counters.count(`write ${outcome}`);
    if (outcome === 'unknown') return;
    if (outcome === 'refused') {
      checker.answered(token, false);
      this.#history.splice(this.#history.indexOf(operation), 1);
      return;
    }
    if (outcome === 'done') {
      checker.answered(token, true);
      this.answered++;
    }
    operation.output = isCas ? { ok: outcome === 'done' } : {};
    operation.end = ++this.#stamp;
  }

  /** The same request, at most three times, as long as nobody knows what became of it. */
  async #attempts(
    random: Random,
    input: Input,
    token: string,
    version: number,
  ): Promise<'done' | 'conflict' | 'refused' | 'unknown'> {
    let isOpen = false;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const process = this.#choose(random);
      if (process) {
        const result = await this.#attempt(process, input, token, version);
        if (result === 'done') {
          if (isOpen) this.#deps.counters.count('retry answered');
          return 'done';
        }
        if (result === 'conflict') return isOpen ? 'unknown' : 'conflict';
        if (result === 'unknown') isOpen = true;
        else if (!isOpen) return 'refused';
      } else if (!isOpen) return 'refused';
      await this.#pause(20 + random.below(400));
    }
    return isOpen ? 'unknown' : 'refused';
  }

  async #attempt(
    process: ManagerProcess,
    input: Input,
    token: string,
    version: number,
  ): Promise<'done' | 'conflict' | 'refused' | 'unknown'> {
    const change = (draft: Draft): string => {
      const before = draft.table('cluster').get(input.key)?.version ?? 0;
      if (input.kind === 'cas' && before !== version)
        throw new SwarmError('VERSION_CONFLICT', 'changed meanwhile');
      const old = readRegister(draft, input.key);
      if (input.kind === 'append') writeRegister(draft, input.key, `${old} ${input.value}`);
      else writeRegister(draft, input.key, token);
      leaveToken(draft, token);
      return token;
    };
    const options = { writer: 'users', requestId: token, timeoutMs: 3_000 } as const;
    const result = await this.#call(process, () => process.store.update(change, options));
    if (result === token) return 'done';
    if (!(result instanceof Error)) return 'unknown';
    const code = SwarmError.is(result) ? result.code : 'INTERNAL';
    this.#deps.counters.count(`update rejected: ${code}`);
    if (code === 'VERSION_CONFLICT') return 'conflict';
    return code === 'MAYBE_DONE' || code === 'DEADLINE' ? 'unknown' : 'refused';
  }

  /** Most often one that says it leads: there may be two. */
  #choose(random: Random): ManagerProcess | undefined {
    const up = this.#deps.machines.flatMap((machine) =>
      machine.isUp && machine.process ? [machine.process] : [],
    );
    const leaders = up.filter((process) => process.driver.isLeader);
    const among = leaders.length > 0 && random.below(10) < 7 ? leaders : up;
    return among.length === 0 ? undefined : among[random.below(among.length)];
  }

  #pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.#deps.timeline.after(delayMs, resolve));
  }

  /** The result, the error, or undefined when nothing was heard in time. */
  #call<T>(process: ManagerProcess, ask: () => Promise<T>): Promise<T | Error | undefined> {
    const { timeline } = this.#deps;
    return new Promise((resolve) => {
      const end = (): void => finish(undefined);
      const finish = (result: T | Error | undefined): void => {
        process.callers.delete(end);
        timer.cancel();
        // What a dead process still has in its queues reaches nobody.
        resolve(process.isDead ? undefined : result);
      };
      const timer = timeline.after(CALL_MS, end);
      process.callers.add(end);
      // On the machine: one that stands still hears of it when it goes on.
      timeline.after(0.1, () => ask().then(finish, (error: Error) => finish(error)), process);
    });
  }
}
