import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { DEFAULTS, LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';

/** All names of one image on this node. */
export interface HeldImage {
  readonly names: readonly string[];
  /** Of its manifest for this machine, and those by which its names pin it. */
  readonly digests: readonly string[];
  readonly usedWallMs: number;
}

export interface ImageCollectorDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** Share of the disk of the images that is used, 0 to 1. */
  readonly usedShare: () => Promise<number>;
  readonly held: () => Promise<readonly HeldImage[]>;
  readonly remove: (names: readonly string[]) => Promise<void>;
  /** Digests that live tasks run, and that their services may go back to. */
  readonly kept: () => ReadonlySet<string>;
}

/**
 * Which images go, the least lately used first: none while the disk has room, none that is kept. How
 * many it takes is seen only as they go, so this gives the order.
 */
function collectable(held: readonly HeldImage[], kept: ReadonlySet<string>): readonly HeldImage[] {
  return held
    .filter(({ digests }) => !digests.some((digest) => kept.has(digest)))
    .sort((a, b) => a.usedWallMs - b.usedWallMs);
}

/** Deletes images that no task needs when their disk is nearly full, until it is not. */
export class ImageCollector {
  readonly #deps: ImageCollectorDeps;
  #timer: Timer | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: ImageCollectorDeps) {
    this.#deps = deps;
  }
  start(): void {
    this.#stopped = false;
    this.#arm();
  }
  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }
  /** Now, as when a disk turned out to be full. Never rejects. */
  collect(): Promise<void> {
    this.#running ??= this.#collect()
      .catch((error: unknown) => {
        this.#deps.log.warn({ error: messageOf(error) }, 'unused images were not collected');
      })
      .finally(() => {
        this.#running = undefined;
      });
    return this.#running;
  }
  #arm(): void {
    if (this.#stopped) return;
    this.#timer = this.#deps.clock.setTimer(LIMITS.imageCollectMs, () => {
      void this.collect().then(() => this.#arm());
    });
  }
  async #collect(): Promise<void> {
    const { usedShare, held, remove, kept, log } = this.#deps;
    if ((await usedShare()) < DEFAULTS.imageHighWatermark) return;
    for (const image of collectable(await held(), kept())) {
      if ((await usedShare()) < DEFAULTS.imageLowWatermark) return;
      // A task may have come for it meanwhile.
      if (image.digests.some((digest) => kept().has(digest))) continue;
      log.info({ image: image.names[0] }, 'unused image deleted: the disk is nearly full');
      await remove(image.names);
    }
  }
}
