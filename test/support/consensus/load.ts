import { messageOf, SwarmError } from '../../../shared/errors.ts';
import type { Random } from '../../../shared/random.ts';
import { dial } from '../../../shared/rpc/client.ts';
import type { Client } from '../../../shared/rpc/rpc.ts';
import type { KeyedInput, RegisterOutput } from '../../conformance/linearizability/models.ts';
import type { Operation } from '../../conformance/linearizability/wgl.ts';
import { until } from '../swarm.ts';
import type { ManagerHosts } from './hosts.ts';
import { type Found, type Outcome, outcomeOf, type Register } from './registers.ts';

export type Recorded = Operation<KeyedInput, RegisterOutput>;

/** Open until its end is known. */
interface Open extends Recorded {
  end: number;
  output: RegisterOutput | undefined;
}

/** How often what happened to clients; all but the last three are recorded operations. */
export interface Counts {
  reads: number;
  writes: number;
  conflicts: number;
  unknown: number;
  /** Writes whose first answer left it open and whose repetition told. */
  settled: number;
  /** Not recorded: they certainly did nothing. */
  refused: number;
  stale: number;
  failedReads: number;
}

const ATTEMPTS = 4;
/** One in so many operations goes to another manager than the client's own. */
const STRAY = 8;

/**
 * Clients of the control API, each on a long-lived connection to one manager (elsewhere now and
 * then), one operation after the other, and what each of them saw. Moments are numbers in the order
 * in which this process saw things happen.
 */
export class Load {
  readonly counts: Counts = {
    reads: 0,
    writes: 0,
    conflicts: 0,
    unknown: 0,
    settled: 0,
    refused: 0,
    stale: 0,
    failedReads: 0,
  };
  readonly #name: string;
  readonly #cluster: ManagerHosts;
  readonly #registers: readonly Register[];
  readonly #random: Random;
  readonly #history: Open[] = [];
  /** Answers that said to be stale: reads that began when their state was current. */
  readonly #stale: Recorded[] = [];
  /** Wall time of each moment. */
  readonly #walls: number[] = [0];
  /** Values of writes that certainly were not done, and what was said. */
  readonly #refused = new Map<string, readonly string[]>();
  readonly #clients: Client[] = [];
  #running: Promise<void>[] = [];
  #stopped = false;
  #failure: unknown;

  /** `name`: of this load alone, since values are request ids as well, and those are remembered. */
  constructor(name: string, cluster: ManagerHosts, registers: readonly Register[], random: Random) {
    this.#name = name;
    this.#cluster = cluster;
    this.#registers = registers;
    this.#random = random;
  }

  start(clients: number): void {
    for (let n = 0; n < clients; n++) this.#running.push(this.#client(n));
  }
  /** Resolves when the last operation has ended. Rejects when a client met what it must not meet. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#running);
    this.#running = [];
    for (const client of this.#clients) client.close();
    if (this.#failure !== undefined) throw this.#failure;
  }

  get history(): readonly Recorded[] {
    const done = this.#history.filter((operation) => !this.#refused.has(tokenOf(operation) ?? ''));
    return [...done, ...this.#stale];
  }
  get recorded(): number {
    return this.#history.length - this.#refused.size;
  }
  /** Every value that a read found although its write was said to have done nothing, and how. */
  seenThoughRefused(): { readonly [value: string]: readonly string[] } {
    const reads = [...this.#history, ...this.#stale];
    const seen = new Set(reads.map(({ output }) => output?.value ?? ''));
    return Object.fromEntries([...this.#refused].filter(([value]) => seen.has(value)));
  }

  /** Resolves when `count` more operations have been acknowledged: the cluster works. */
  async progress(count: number): Promise<void> {
    const done = (): number => this.counts.reads + this.counts.writes;
    const target = done() + count;
    await until(`${count} more operations to be acknowledged`, () => this.#reached(done(), target));
  }
  /** Resolves when `count` more reads were marked stale: there is no quorum, and they say so. */
  async staleReads(count: number): Promise<void> {
    const target = this.counts.stale + count;
    await until(`${count} reads marked stale`, () => this.#reached(this.counts.stale, target));
  }

  #reached(value: number, target: number): true | undefined {
    if (this.#failure !== undefined) return true;
    return value >= target ? true : undefined;
  }

  async #client(n: number): Promise<void> {
    const random = this.#random.stream(`client ${n}`);
    const connections = this.#cluster.hosts.map((host) =>
      dial(host.socket, { ownConnection: true }),
    );
    this.#clients.push(...connections);
    const choose = (): Client =>
      connections[
        random.below(STRAY) === 0 ? random.below(connections.length) : n % connections.length
      ]!;
    const seen = new Map<string, Found>();
    try {
      for (let i = 0; !this.#stopped && this.#failure === undefined; i++) {
        const register = this.#registers[random.below(this.#registers.length)]!;
        if (random.below(5) < 2) await this.#read(register, choose(), seen);
        else
          await this.#write(
            register,
            choose,
            `${this.#name}.${n}.${i}`,
            random,
            seen.get(register.key),
          );
      }
    } catch (error) {
      this.#failure ??= error;
    }
  }

  async #read(register: Register, client: Client, seen: Map<string, Found>): Promise<void> {
    const call = this.#next();
    let found: Found;
    try {
      found = await register.read(client);
    } catch (error) {
      outcomeOf(error);
      this.counts.failedReads++;
      return pause();
    }
    const input: KeyedInput = { key: register.key, kind: 'read' };
    const output = { value: found.value };
    const end = this.#next();
    if (found.isStale) {
      if (found.asOfWallMs === 0) throw new Error('a stale answer that does not say as of when');
      this.counts.stale++;
      const asOf = Math.min(call, this.#momentOf(found.asOfWallMs));
      this.#stale.push({ call: asOf, end, input, output });
      return;
    }
    seen.set(register.key, found);
    this.counts.reads++;
    this.#history.push({ call, end, input, output });
  }

  #next(): number {
    this.#walls.push(Date.now());
    return this.#walls.length - 1;
  }
  /** Just before the first moment that is surely not earlier; clocks are read to a millisecond. */
  #momentOf(wallMs: number): number {
    let [before, after] = [0, this.#walls.length];
    while (after - before > 1) {
      const middle = (before + after) >>> 1;
      if (this.#walls[middle]! < wallMs - 1) before = middle;
      else after = middle;
    }
    return after - 0.5;
  }

  async #write(
    register: Register,
    choose: () => Client,
    value: string,
    random: Random,
    seen: Found | undefined,
  ): Promise<void> {
    const { key } = register;
    const isCas = seen !== undefined && random.below(2) === 0;
    const input: KeyedInput = isCas
      ? { key, kind: 'cas', from: seen.value, to: value }
      : { key, kind: 'write', value };
    const operation: Open = {
      call: this.#next(),
      end: Number.POSITIVE_INFINITY,
      input,
      output: undefined,
    };
    this.#history.push(operation);
    const attempts = random.below(2) === 0 ? 1 : ATTEMPTS;
    const attempt = (): Promise<void> =>
      register.write(choose(), value, isCas ? seen.version : 0, value);
    const errors: string[] = [];
    const outcome = await this.#attempts(attempts, attempt, errors);
    if (outcome === 'unknown') this.counts.unknown++;
    else if (outcome === 'refused') {
      this.counts.refused++;
      this.#refused.set(value, errors);
    } else {
      this.counts[outcome === 'done' ? 'writes' : 'conflicts']++;
      operation.output = isCas ? { ok: outcome === 'done' } : {};
      operation.end = this.#next();
    }
  }

  /** The same request under the same id, until its outcome is known or `count` attempts are made. */
  async #attempts(count: number, attempt: () => Promise<void>, errors: string[]): Promise<Outcome> {
    let isOpen = false;
    for (let left = count; left > 0; left--) {
      const outcome = await attempt().then(
        () => 'done' as const,
        (error: unknown) => {
          errors.push(`${SwarmError.is(error) ? error.code : ''}: ${messageOf(error)}`);
          return outcomeOf(error);
        },
      );
      if (outcome === 'done' || outcome === 'conflict') {
        if (isOpen) this.counts.settled++;
        return outcome;
      }
      isOpen ||= outcome === 'unknown';
      await pause();
    }
    return isOpen ? 'unknown' : 'refused';
  }
}

/** What a write puts there; undefined for a read. */
function tokenOf({ input }: Recorded): string | undefined {
  if (input.kind === 'read') return undefined;
  return input.kind === 'write' ? input.value : input.to;
}

/** A dead manager refuses at once: its clients must not spin. */
function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 20));
}
