import type { Observed, Verdict } from './verdict.ts';

/**
 * What users were told and what became of it. Each request names itself in the entry that carries it
 * out: done at most once, in the state when it was answered, never done when it was refused.
 */
export class Answers {
  readonly #verdict: Verdict;
  readonly #done = new Map<string, number>();
  readonly #refused = new Set<string>();
  /** Names in the order in which they were done, with the index of the entry. */
  readonly order: { readonly token: string; readonly index: number }[] = [];
  /** Highest index of an entry whose caller was answered. */
  newestIndex = 1;
  isUnsure = false;

  constructor(verdict: Verdict) {
    this.#verdict = verdict;
  }

  /** An entry was applied for the first time anywhere, and carries these out. */
  done(tokens: readonly string[], index: number): void {
    for (const token of tokens) {
      if (this.#done.has(token)) this.#verdict.fail(`${token} was done twice, at ${index} again`);
      if (this.#refused.has(token))
        this.#verdict.fail(`${token} was refused and is done at ${index}`);
      this.#done.set(token, index);
      this.order.push({ token, index });
    }
  }

  wasDone(token: string): boolean {
    return this.#done.has(token);
  }

  answered(token: string): void {
    const index = this.#done.get(token);
    if (index === undefined) this.#verdict.fail(`${token} was answered and is not in the state`);
    else this.newestIndex = Math.max(this.newestIndex, index);
  }

  /** A user was told that it is certainly not done. */
  refused(token: string): void {
    const index = this.#done.get(token);
    if (index !== undefined) this.#verdict.fail(`${token} was refused and was done at ${index}`);
    this.#refused.add(token);
  }

  /**
   * What was done after `index` is lost: an operator went on from an older state. `isUnsure`: it may
   * have more than was ever committed.
   */
  cut(index: number, isUnsure: boolean): void {
    this.isUnsure ||= isUnsure;
    for (const [token, at] of this.#done) if (at > index) this.#done.delete(token);
    this.order.length = this.order.filter((done) => done.index <= index).length;
    this.newestIndex = Math.min(this.newestIndex, index);
  }

  /** A linearizable read: nothing that was answered before it began may be missing. */
  readServed(who: Observed, index: number, floor: number): void {
    if (index < floor)
      this.#verdict.fail(`${who.name}: a read at ${index}, ${floor} was answered before`);
    if (who.appliedIndex < index)
      this.#verdict.fail(`${who.name}: a read at ${index} with ${who.appliedIndex} applied`);
  }
}
