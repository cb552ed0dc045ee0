import type { RaftMessage } from '../../../proto/index.ts';
import { LIMITS } from '../../../shared/limits.ts';
import type { Observed, Verdict } from './verdict.ts';

interface Append {
  readonly lastIndex: number;
  readonly bytes: number;
}

/** Behind a snapshot the leader probes once more, whatever it had sent before it. */
const PROBES = 1;

/**
 * What each leader has on its way to each member: appends with entries that it sent and has heard no
 * answer to. One that begins anywhere but at the end of the last one shows that the leader gave up
 * all before it.
 */
export class Windows {
  readonly #verdict: Verdict;
  /** By epoch, term and pair, oldest first. */
  readonly #open = new Map<string, Append[]>();

  constructor(verdict: Verdict) {
    this.#verdict = verdict;
  }

  sent(who: Observed, m: RaftMessage): void {
    const name = nameOf(who, m.term, m.from, m.to);
    const open = this.#open.get(name) ?? [];
    if (open.length === 0) this.#open.set(name, open);
    if (open.at(-1)?.lastIndex !== m.index) open.length = 0;
    const lastIndex = m.entries.at(-1)?.index;
    if (lastIndex === undefined) return;
    const before = open.slice(PROBES).reduce((sum, { bytes }) => sum + bytes, 0);
    open.push({ lastIndex, bytes: m.entries.reduce((sum, { data }) => sum + data.length, 0) });
    if (open.length > LIMITS.raftInflightMessagesMax + PROBES)
      this.#verdict.fail(`${who.name}: ${open.length} appends are on their way to ${m.to}`);
    if (before >= LIMITS.raftInflightBytesMax)
      this.#verdict.fail(`${who.name}: appends of ${before} bytes are on their way to ${m.to}`);
  }

  /** A leader hears that a member has everything up to an index. */
  answered(who: Observed, m: RaftMessage): void {
    if (m.reject) return;
    const open = this.#open.get(nameOf(who, m.term, m.to, m.from));
    const left = open?.findIndex(({ lastIndex }) => lastIndex > m.index) ?? 0;
    open?.splice(0, left < 0 ? open.length : left);
  }
}

function nameOf({ epoch }: Observed, term: number, leader: number, member: number): string {
  return `${epoch}/${term}/${leader}>${member}`;
}
