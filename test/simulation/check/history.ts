import { crc32 } from '../../../manager/database/index.ts';
import type { ConfState } from '../../../manager/raft/index.ts';
import type { RowChange } from '../../../manager/replication.ts';
import type { DurableLogs } from './durable-logs.ts';
import type { Observed, Verdict } from './verdict.ts';

interface Committed {
  readonly term: number;
  readonly rowsCrc: number | undefined;
  /** What it did to the rows: a hash by name; undefined: deleted. */
  readonly changes: readonly (readonly [name: string, hash: number | undefined])[];
  /** Sum over all rows after this entry. */
  readonly hash: number;
  timeMs: number | undefined;
}

const HASH_MODULUS = 2 ** 50;
/** Written anew when a cluster is recovered or restored: who the cluster is, and its clock. */
const REWRITTEN =
  /^(clusterSecrets|node|nodeStatus|member|removedMember|certificate|event|clock)\//;

/** Where an operator went on from: the state after `upTo`, which is sure up to `sure`. */
export interface Cut {
  readonly before: History;
  readonly upTo: number;
  /** Up to here it is what was committed; behind it may be what never was. */
  readonly sure: number;
}

/**
 * The one history that all members of an epoch apply: each entry once, in order, the same everywhere,
 * durable on a quorum before anybody applies it; the same rows after it on everybody.
 */
export class History {
  readonly #verdict: Verdict;
  readonly #logs: () => DurableLogs;
  readonly #entries = new Map<number, Committed>();
  /** The configurations that were ever in force, without repetitions; the last one is. */
  readonly #configs: ConfState[] = [];
  /** Entries that changed the members. */
  readonly #changes = new Set<number>();
  readonly #rows = new Map<string, number>();
  #hash = 0;
  #timeMs = 0;
  #index: number;

  /** It begins with the rows of one member, alone. */
  constructor(
    verdict: Verdict,
    logs: () => DurableLogs,
    first: { readonly voter: number; readonly index: number; readonly rows: readonly RowChange[] },
  ) {
    this.#verdict = verdict;
    this.#logs = logs;
    this.#index = first.index;
    this.#configs.push(aloneIs(first.voter));
    this.#add(first.index, 0, undefined, first.rows);
  }

  /** The newest entry that anybody applied. */
  get index(): number {
    return this.#index;
  }
  get newest(): { readonly index: number; readonly term: number } {
    return { index: this.#index, term: this.#entries.get(this.#index)!.term };
  }
  termAt(index: number): number | undefined {
    return this.#entries.get(index)?.term;
  }
  /** In force: as somebody applied it last. */
  get config(): ConfState {
    return this.#configs.at(-1)!;
  }

  /** By the voters that are in force, or by those before the last change (see `#checkQuorum`). */
  isOnQuorum(index: number, term: number): boolean {
    const logs = this.#logs();
    const has = (id: number): boolean => logs.of(id).has(index, term);
    return this.#configs
      .slice(-2)
      .some(({ voters }) => voters.filter(has).length > voters.length / 2);
  }

  isMember(raftId: number): boolean {
    return this.config.voters.includes(raftId) || this.config.learners.includes(raftId);
  }

  /** It asks for votes: by the members that it knows to be in force. */
  stands(who: Observed): void {
    for (const index of this.#changes) {
      if (index > who.appliedIndex && index <= who.committedIndex)
        this.#verdict.fail(`${who.name}: stands before it applied the members of ${index}`);
    }
  }

  /** Called for every entry that `who` applies, in order, before `who.confState` moves on. */
  applied(
    who: Observed,
    index: number,
    term: number,
    rows: readonly RowChange[] | undefined,
    counted: { readonly index: number; readonly term: number } | undefined,
  ): void {
    if (index !== who.appliedIndex + 1)
      this.#verdict.fail(`${who.name}: applied ${index} after ${who.appliedIndex}`);
    who.appliedIndex = index;
    const rowsCrc = rows && crcOf(rows);
    const known = this.#entries.get(index);
    if (known !== undefined) {
      if (known.term !== term || known.rowsCrc !== rowsCrc)
        this.#verdict.fail(
          `${who.name}: applied another entry at ${index} (term ${term}, not ${known.term})`,
        );
      return;
    }
    if (index !== this.#index + 1)
      this.#verdict.fail(`${who.name}: applied ${index}, the first one after ${this.#index}`);
    this.#checkQuorum(who, { index, term });
    if (counted) this.#checkQuorum(who, counted);
    this.#index = index;
    this.#add(index, term, rowsCrc, rows ?? []);
  }

  /** The members may have changed, as `who` applied it. */
  configured(who: Observed, before: ConfState): void {
    const after = who.confState;
    if (isSame(before, after)) return;
    this.#changes.add(who.appliedIndex);
    const changed = [...before.voters, ...after.voters].filter(
      (id) => before.voters.includes(id) !== after.voters.includes(id),
    );
    // With one at a time, a quorum of the old ones and one of the new ones have a member in common.
    if (changed.length > 1) this.#verdict.fail(`${who.name}: two voters changed at once`);
    const isNews = who.appliedIndex === this.#index && !isSame(after, this.#configs.at(-1)!);
    if (isNews) this.#configs.push(after);
  }

  /** All rows of a member were replaced: at its start, or by a snapshot. */
  loaded(who: Observed, index: number, rows: readonly RowChange[]): void {
    who.appliedIndex = index;
    if (index === 0) return;
    const known = this.#entries.get(index);
    let hash = 0;
    for (const row of rows) hash = (hash + rowHash(row)) % HASH_MODULUS;
    if (known === undefined)
      this.#verdict.fail(`${who.name}: loaded ${index}, which nobody committed`);
    else if (known.hash !== hash)
      this.#verdict.fail(
        `${who.name}: its state at ${index} is another one: ${this.#odd(index, rows)}`,
      );
  }

  /** Names of rows that are not as they should be. */
  #odd(index: number, rows: readonly RowChange[]): string {
    const expected = this.#rowsAt(index);
    const found = new Map(rows.map((row) => [nameOf(row), rowHash(row)]));
    const names = new Set([...expected.keys(), ...found.keys()]);
    return [...names].filter((name) => expected.get(name) !== found.get(name)).join(' ');
  }

  /** Cluster time never goes back, and is the same on everybody. True: heard for the first time. */
  stored(who: Observed, index: number, timeMs: number): boolean {
    const known = this.#entries.get(index);
    if (known === undefined) return false;
    if (known.timeMs === undefined) {
      known.timeMs = timeMs;
      if (timeMs < this.#timeMs)
        this.#verdict.fail(`cluster time went back from ${this.#timeMs} to ${timeMs}`);
      this.#timeMs = Math.max(this.#timeMs, timeMs);
      return true;
    }
    if (known.timeMs !== timeMs)
      this.#verdict.fail(`${who.name}: entry ${index} is of ${timeMs}, not ${known.timeMs}`);
    return false;
  }

  /** What an operator made of the epoch before: what came later is lost, and nothing else. */
  checkCut(who: Observed, { before, upTo, sure }: Cut, rows: readonly RowChange[]): void {
    const known = Math.min(sure, before.index);
    const now = new Map(rows.map((row) => [nameOf(row), row]));
    const isUnseen = (name: string): boolean => {
      const version = now.get(name)?.version ?? upTo;
      return version > known && version <= upTo;
    };
    for (const [name, hash] of before.#rowsAt(known)) {
      const row = now.get(name);
      const isKept = row !== undefined && rowHash(row) === hash;
      if (isKept || REWRITTEN.test(name) || (upTo > known && isUnseen(name))) continue;
      this.#verdict.fail(`${who.name}: ${name} is not as it was at ${known}`);
    }
    this.#timeMs = before.#entries.get(known)?.timeMs ?? 0;
  }

  #rowsAt(index: number): Map<string, number> {
    const rows = new Map<string, number>();
    const order = [...this.#entries.keys()].filter((at) => at <= index).sort((a, b) => a - b);
    for (const at of order) {
      for (const [name, hash] of this.#entries.get(at)!.changes) {
        if (hash === undefined) rows.delete(name);
        else rows.set(name, hash);
      }
    }
    return rows;
  }

  #add(index: number, term: number, rowsCrc: number | undefined, rows: readonly RowChange[]): void {
    const changes = rows.map((row) => [nameOf(row), row.bytes && rowHash(row)] as const);
    for (const [name, hash] of changes) {
      this.#hash = (this.#hash - (this.#rows.get(name) ?? 0) + HASH_MODULUS) % HASH_MODULUS;
      if (hash === undefined) this.#rows.delete(name);
      else {
        this.#rows.set(name, hash);
        this.#hash = (this.#hash + hash) % HASH_MODULUS;
      }
    }
    this.#entries.set(index, { term, rowsCrc, changes, hash: this.#hash, timeMs: undefined });
  }

  /**
   * A leader counts by the members that it has applied: these, or those before the last change,
   * because the next one is proposed only when that is applied. Learners never count.
   */
  #checkQuorum(who: Observed, { index, term }: { index: number; term: number }): void {
    if (!this.isOnQuorum(index, term))
      this.#verdict.fail(`${who.name}: applied ${index} of term ${term}, durable on no quorum`);
  }
}

function aloneIs(voter: number): ConfState {
  return { voters: [voter], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
}

function isSame(a: ConfState, b: ConfState): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function nameOf(row: RowChange): string {
  return `${row.table}/${row.id}`;
}

function rowHash(row: RowChange): number {
  const name = crc32(Buffer.from(`${nameOf(row)}/${row.version}`));
  return crc32(row.bytes!, name) * 2 ** 16 + (name & 0xffff);
}

function crcOf(rows: readonly RowChange[]): number {
  let crc = rows.length;
  for (const { table, id, version, bytes } of rows) {
    crc = crc32(Buffer.from(`${table}/${id}/${version}`), crc);
    if (bytes) crc = crc32(bytes, crc);
  }
  return crc;
}
