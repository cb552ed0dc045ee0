import { Backoff } from '../../shared/backoff.ts';
import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import type { AppliedEntry, Store } from '../store/view.ts';
import type { BlobCopies } from './blob-copies.ts';
import type { BlobStore } from './blob-store.ts';

export interface ImageKeeperDeps {
  readonly store: Store;
  readonly blobs: BlobStore;
  readonly copies: BlobCopies;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/**
 * Brings this manager's disk to what the rows say: blobs that it lacks are fetched from others, those
 * that no image needs any more are deleted after a while. Every manager has one, leader or not.
 */
export class ImageKeeper {
  readonly #deps: ImageKeeperDeps;
  readonly #stop = new AbortController();
  readonly #backoff: Backoff;
  #working = false;
  #again = false;
  #timer: Timer | undefined;

  constructor(deps: ImageKeeperDeps) {
    this.#deps = deps;
    this.#backoff = new Backoff(deps.random, 1_000, 60_000);
    deps.store.onReload(() => this.#look());
    deps.store.onApplied((entry) => {
      if (this.#concerns(entry)) this.#look();
    });
  }
  stop(): void {
    this.#stop.abort();
    this.#timer?.cancel();
  }
  #concerns(entry: AppliedEntry): boolean {
    return entry.changes.some(({ table }) => table === 'imageBlob');
  }
  #look(): void {
    this.#again = true;
    if (this.#working || this.#stop.signal.aborted) return;
    this.#working = true;
    void this.#work().finally(() => {
      this.#working = false;
    });
  }
  async #work(): Promise<void> {
    const { clock, log } = this.#deps;
    this.#timer?.cancel();
    let waitMs: number = LIMITS.blobGraceMs;
    while (this.#again && !this.#stop.signal.aborted) {
      this.#again = false;
      try {
        await this.#once();
        this.#backoff.reset();
        waitMs = LIMITS.blobGraceMs;
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        waitMs = this.#backoff.nextDelayMs();
        log.warn({ error: messageOf(error) }, 'parts of images are missing on this manager');
      }
    }
    if (this.#stop.signal.aborted) return;
    this.#timer = clock.setTimer(waitMs, () => this.#look());
  }
  async #once(): Promise<void> {
    const { store, blobs, copies, clock } = this.#deps;
    const rows = [...store.view.table('imageBlob').all()];
    const wanted = rows.map(({ id, size }) => ({ digest: id, size }));
    const isNeeded = (digest: string): boolean => store.view.table('imageBlob').has(digest);
    await blobs.sweep(isNeeded, clock.wallMs() - LIMITS.blobGraceMs);
    const lacking = [];
    for (const blob of wanted) if (!(await blobs.has(blob.digest))) lacking.push(blob);
    if (lacking.length > 0) await copies.fetch(lacking, '', this.#stop.signal, () => undefined);
  }
}
