import type { Clock } from '../../../shared/clock.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Random } from '../../../shared/random.ts';
import { askTcp, askUdp } from './ask.ts';
import type { Transport } from './responder.ts';

export interface ForwarderDeps {
  readonly clock: Clock;
  readonly random: Random;
  /** Where resolvers answer; 53. */
  readonly port: number;
}

/** A resolver that says nothing for this long is passed over. */
const ANSWER_MS = 2_000;
/** Clients ask again after five seconds: by then they shall have an answer. */
const TRIES_MAX = 2;
const SERVFAIL = 2;
const REFUSED = 5;

/** Asks other resolvers, from the host's own network, and gives their answers on as they are. */
export class Forwarder {
  readonly #deps: ForwarderDeps;
  #waiting = 0;
  readonly #waitingOf = new Map<string, number>();

  constructor(deps: ForwarderDeps) {
    this.#deps = deps;
  }
  /** Queries that wait for an answer. */
  get waiting(): number {
    return this.#waiting;
  }
  /**
   * The first useful answer of these servers, with the number of the query; undefined: there was none,
   * or too many wait already. Never rejects.
   */
  async ask(
    query: Buffer,
    servers: readonly string[],
    by: Transport,
    taskId: string,
  ): Promise<Buffer | undefined> {
    const own = this.#waitingOf.get(taskId) ?? 0;
    if (this.#waiting >= LIMITS.nameForwardsMax || own >= LIMITS.nameForwardsOfTaskMax)
      return undefined;
    this.#waiting++;
    this.#waitingOf.set(taskId, own + 1);
    try {
      return await this.#askInTurn(query, servers, by);
    } finally {
      this.#waiting--;
      const left = this.#waitingOf.get(taskId)! - 1;
      if (left > 0) this.#waitingOf.set(taskId, left);
      else this.#waitingOf.delete(taskId);
    }
  }

  async #askInTurn(
    query: Buffer,
    servers: readonly string[],
    by: Transport,
  ): Promise<Buffer | undefined> {
    const { clock, random, port } = this.#deps;
    // One that is alone is asked twice: a datagram may be lost.
    const order = (servers.length === 1 ? [servers[0]!, servers[0]!] : servers).slice(0, TRIES_MAX);
    let answer: Buffer | undefined;
    for (const server of order) {
      const id = random.below(65_536);
      const ask = by === 'udp' ? askUdp : askTcp;
      const given = await ask({ query, id, server, port, clock, waitMs: ANSWER_MS });
      if (given === undefined) continue;
      answer = given;
      const code = given[3]! & 15;
      if (code !== SERVFAIL && code !== REFUSED) break;
    }
    answer?.writeUInt16BE(query.readUInt16BE(0), 0);
    return answer;
  }
}
