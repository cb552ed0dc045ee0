/** What happens seldom, and where a fault matters most. */
export const MOMENTS = [
  'a leader begins',
  'the members change',
  'a snapshot is installed',
] as const;
export type Moment = (typeof MOMENTS)[number];

/** Lets faults wait for a moment: it is told as it comes, of the member that it comes to first. */
export class Moments {
  readonly #waiting = new Map<Moment, (raftId: number) => void>();
  /** Nobody waits any more, nor from now on. */
  isOver = false;

  /** `fn` hears of the next one, before anybody else does; whoever waited for it before waits no more. */
  next(moment: Moment, fn: (raftId: number) => void): void {
    this.#waiting.set(moment, fn);
  }
  tell(moment: Moment, raftId: number): void {
    const fn = this.#waiting.get(moment);
    if (fn === undefined || this.isOver) return;
    this.#waiting.delete(moment);
    fn(raftId);
  }
}
