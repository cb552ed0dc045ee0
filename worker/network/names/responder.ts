import { LIMITS } from '../../../shared/limits.ts';
import { answerCode, answerMissing, answerWith, type Records } from './answer.ts';
import type { Client, KeptAnswer } from './clients.ts';
import { CODE, type Query, readQuery, TYPE } from './message.ts';
import type { NameTable } from './name-table.ts';

export type Transport = 'udp' | 'tcp';

/** A query that somebody else has to answer. */
export interface Forward {
  readonly query: Query;
}

const TCP_BYTES = 65_535;
/** Of many values this many come to stand first, evenly spread. */
const TURNS_MAX = 32;

/**
 * Answers queries of this node's tasks from the table. Equal questions of equal networks are answered
 * from what was answered before, until the table changes.
 */
export class Responder {
  readonly #table: NameTable;

  constructor(table: NameTable) {
    this.#table = table;
  }
  /** Undefined: nothing is to be said. Never throws, whatever the packet. */
  respond(packet: Buffer, client: Client | undefined, by: Transport): Buffer | Forward | undefined {
    const kept = client && this.#kept(packet, client, by);
    if (kept !== undefined) return withId(packet, kept);
    const reading = readQuery(packet);
    if (!reading.ok) {
      if (reading.code === undefined) return undefined;
      return answerCode(packet, reading.code, reading.end, false);
    }
    const { query } = reading;
    if (client === undefined) return answerCode(packet, CODE.REFUSED, query.end, query.hasEdns);
    const sets = this.#find(client, query);
    if (sets === 'elsewhere') return { query };
    if (sets === 'missing') return answerMissing(packet, query);
    return this.#answer(packet, client, query, sets, by);
  }

  #kept(packet: Buffer, { scope }: Client, by: Transport): Buffer | undefined {
    if (scope.version !== this.#table.version) {
      scope.answers.clear();
      scope.version = this.#table.version;
      return undefined;
    }
    const known = by === 'udp' ? scope.answers.get(keyOf(packet)) : undefined;
    return known && nextTurn(known);
  }
  #find(client: Client, query: Query): readonly Records[] | 'missing' | 'elsewhere' {
    const { name, type } = query;
    const { networkIds } = client;
    const found = this.#table.find(networkIds, name);
    if (found !== undefined) {
      const four = { type: TYPE.A, values: found.four };
      const six = { type: TYPE.AAAA, values: found.six };
      if (type === TYPE.ANY) return [four, six];
      return [four, six].filter((each) => each.type === type);
    }
    const holder = this.#table.findHolder(networkIds, name);
    if (holder === 'nobody') return 'missing';
    if (holder !== undefined)
      return type === TYPE.PTR || type === TYPE.ANY ? [{ type: TYPE.PTR, values: [holder] }] : [];
    return this.#table.hasWayOut(networkIds) ? 'elsewhere' : 'missing';
  }
  #answer(
    packet: Buffer,
    { scope }: Client,
    query: Query,
    sets: readonly Records[],
    by: Transport,
  ): Buffer {
    const count = Math.max(1, ...sets.map(({ values }) => values.length));
    const turns = Math.min(count, TURNS_MAX);
    const bytesMax = by === 'udp' ? query.udpBytes : TCP_BYTES;
    // Kept beyond this packet, whose memory belongs to who gave it.
    const question = Buffer.from(packet);
    const kept: KeptAnswer = {
      turns: new Array<Buffer | undefined>(turns),
      make: (turn) =>
        answerWith(question, query, sets, Math.floor((turn * count) / turns), bytesMax),
      next: 0,
    };
    if (by === 'udp' && packet.length <= LIMITS.nameQueryKeptBytesMax) {
      if (scope.answers.size >= LIMITS.nameAnswersKeptMax) scope.answers.clear();
      scope.answers.set(keyOf(packet), kept);
    }
    return withId(packet, nextTurn(kept));
  }
}

/** Everything but the number that the client gave the query. */
function keyOf(packet: Buffer): string {
  return packet.toString('latin1', 2);
}

function nextTurn(kept: KeptAnswer): Buffer {
  const turn = kept.next;
  kept.next = turn + 1 === kept.turns.length ? 0 : turn + 1;
  let answer = kept.turns[turn];
  if (answer === undefined) {
    answer = kept.make(turn);
    kept.turns[turn] = answer;
  }
  return answer;
}

/** A copy for this client: what is sent must stay as it is until it has gone. */
function withId(packet: Buffer, answer: Buffer): Buffer {
  const out = Buffer.from(answer);
  out[0] = packet[0]!;
  out[1] = packet[1]!;
  return out;
}
