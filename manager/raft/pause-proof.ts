/**
 * After a standstill of the process a leader proves its quorum before it acts: somebody else may
 * lead by now.
 */
export class PauseProof {
  #pending: Promise<void> | undefined;

  /** Resolves when the proof has ended, one way or the other; undefined: there is none to wait for. */
  get pending(): Promise<void> | undefined {
    return this.#pending;
  }

  /** `read` asks a quorum; `failed` when none has answered. One proof at a time is enough. */
  begin(read: () => Promise<unknown>, failed: () => void): void {
    if (this.#pending) return;
    const proof = read().then(() => undefined, failed);
    this.#pending = proof;
    void proof.then(() => {
      this.#pending = undefined;
    });
  }
}
