import type { Content } from './content.ts';
import { tornStates } from './crash-points.ts';
import { describeFault } from './fault.ts';
import type { Judges } from './judges.ts';
import type { WritePoint } from './recorded-disk.ts';
import type { Script } from './script.ts';

/** How much was looked at, and what was wrong with it. */
export interface Findings {
  states: number;
  readonly problems: string[];
}

/**
 * A crash in the middle of a write must leave what was before it or what is after it, with all that
 * others had been told, and never look like damage.
 */
export class CrashCheck {
  readonly #script: Script;
  readonly #judges: Judges;

  constructor(script: Script, judges: Judges) {
    this.#script = script;
    this.#judges = judges;
  }

  /** Every write, with up to `torn` states inside each. */
  async everyWrite(torn: number): Promise<Findings> {
    return this.#check([...this.#script.points.keys()], torn);
  }

  /** The last two batches, cut at every byte. */
  async lastTwoBatches(): Promise<Findings> {
    const points = [...this.#script.points.entries()];
    const batches = points.filter(([, { kind }]) => kind === 'batch').map(([at]) => at);
    return this.#check(batches.slice(-2), Infinity);
  }

  async #check(points: readonly number[], torn: number): Promise<Findings> {
    const findings: Findings = { states: 0, problems: [] };
    for (const at of points) await this.#checkPoint(at, torn, findings);
    return findings;
  }

  async #checkPoint(at: number, torn: number, findings: Findings): Promise<void> {
    const point = this.#script.points[at]!;
    const judges = this.#judges;
    const [whole, done] = await Promise.all([
      judges.content(point.before),
      judges.content(point.after),
    ]);
    const faults = await tornStates(point, torn);
    const found = (what: string, problem: string | undefined): void => {
      findings.states++;
      if (problem !== undefined) {
        findings.problems.push(`write ${at} (${point.step}), ${what}: ${problem}`);
      }
    };
    found('before', this.#brokenPromise(at, whole));
    found('after', this.#brokenPromise(at, done));
    const digests = [whole.digest, done.digest];
    await Promise.all(
      faults.map(async (fault) => {
        const verdict = await judges.judge(point.after, fault);
        const what = describeFault(fault);
        if (verdict.kind !== 'content') found(what, JSON.stringify(verdict));
        else if (!digests.includes(verdict.content.digest)) found(what, 'half of it is there');
        else found(what, this.#brokenPromise(at, verdict.content));
      }),
    );
  }

  #brokenPromise(at: number, content: Content): string | undefined {
    const { last, term, vote } = this.#script.promisedAt(at);
    if (content.last < last) return `the log ends at ${content.last}, ${last} was acknowledged`;
    if (content.term < term) return `term ${content.term}, but ${term} was told`;
    if (content.term === term && content.vote !== vote) return `another vote than ${vote}`;
    return undefined;
  }
}

/** Both kinds of points at a glance, for a report. */
export function describePoints(points: readonly WritePoint[]): string {
  const batches = points.filter(({ kind }) => kind === 'batch').length;
  return `${batches} batches, ${points.length - batches} files`;
}
