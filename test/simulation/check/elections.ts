import type { Counters } from '../engine/counters.ts';
import type { DurableLogs } from './durable-logs.ts';
import type { Observed, Verdict } from './verdict.ts';

interface Reign {
  readonly raftId: number;
  /** What was committed when it began: the leader must have it. */
  readonly mustHave: { readonly index: number; readonly term: number };
  isChecked: boolean;
}

/** One vote a member and term, one leader a term, elected by a quorum, with all that is committed. */
export class Elections {
  readonly #verdict: Verdict;
  readonly #counters: Counters;
  readonly #logs: DurableLogs;
  readonly #newestCommitted: (who: Observed) => { readonly index: number; readonly term: number };
  /** By epoch and term. */
  readonly #reigns = new Map<string, Reign>();
  /** By member and term: the candidate. */
  readonly #votes = new Map<string, number>();
  readonly #begins: (raftId: number) => void;

  /** `begins` hears of every new leader as it says its first word, before anybody else does. */
  constructor(
    verdict: Verdict,
    counters: Counters,
    logs: DurableLogs,
    newestCommitted: (who: Observed) => { readonly index: number; readonly term: number },
    begins: (raftId: number) => void,
  ) {
    this.#verdict = verdict;
    this.#counters = counters;
    this.#logs = logs;
    this.#newestCommitted = newestCommitted;
    this.#begins = begins;
  }

  voted(who: Observed, term: number, candidate: number): void {
    const log = this.#logs.of(who.raftId);
    // A batch may have two terms; the later one, durable, keeps the earlier vote as well.
    const isDurable = log.term > term || (log.term === term && log.votedIn(term) === candidate);
    if (!isDurable) this.#verdict.fail(`${who.name}: voted in term ${term} before it was durable`);
    const name = `${who.raftId} ${term}`;
    const known = this.#votes.get(name);
    if (known === undefined) this.#votes.set(name, candidate);
    else if (known !== candidate) this.#verdict.fail(`${who.name}: voted twice in term ${term}`);
  }

  leads(who: Observed, term: number): void {
    const known = this.#reigns.get(`${who.epoch} ${term}`);
    if (known !== undefined) {
      if (known.raftId !== who.raftId)
        this.#verdict.fail(`${who.name}: leads term ${term}, which ${known.raftId} leads`);
      return;
    }
    this.#counters.count('leader elected');
    const mustHave = this.#newestCommitted(who);
    this.#reigns.set(`${who.epoch} ${term}`, { raftId: who.raftId, mustHave, isChecked: false });
    this.#checkVotes(who, term);
    this.#begins(who.raftId);
  }

  /**
   * What a leader has to count to commit up to `index`: that entry, or, where it is of an older
   * term, the first one of its own (paper, section 5.4.2). Undefined for who does not lead.
   */
  countedBy(who: Observed, index: number): { index: number; term: number } | undefined {
    const { term } = this.#logs.of(who.raftId);
    if (this.#reigns.get(`${who.epoch} ${term}`)?.raftId !== who.raftId) return undefined;
    const first = this.#logs.firstOf(who.epoch, term) ?? Number.POSITIVE_INFINITY;
    return { index: Math.max(index, first), term };
  }

  /** Leader completeness: looked at when the leader writes its first entry. */
  wrote(who: Observed, term: number): void {
    const reign = this.#reigns.get(`${who.epoch} ${term}`);
    if (reign === undefined || reign.isChecked || reign.raftId !== who.raftId) return;
    reign.isChecked = true;
    const { index, term: ofTerm } = reign.mustHave;
    // Whose first word comes late may have been overtaken: what a later leader committed is no debt.
    if (ofTerm > term) return;
    // The rows that a cluster begins with are no entry.
    if (ofTerm !== 0 && !this.#logs.of(who.raftId).has(index, ofTerm))
      this.#verdict.fail(`${who.name}: leads term ${term} without committed entry ${index}`);
  }

  /** A quorum of voters, and nobody else, made it leader; its own vote counts when it is durable. */
  #checkVotes(who: Observed, term: number): void {
    const { voters } = who.confState;
    const isFor = (id: number): boolean =>
      this.#votes.get(`${id} ${term}`) === who.raftId ||
      (id === who.raftId && this.#logs.of(id).votedIn(term) === id);
    if (!voters.includes(who.raftId))
      this.#verdict.fail(`${who.name}: leads term ${term} and has no vote`);
    const votes = voters.filter(isFor).length;
    if (votes <= voters.length / 2)
      this.#verdict.fail(`${who.name}: leads term ${term} by ${votes} votes of ${voters.length}`);
  }
}
