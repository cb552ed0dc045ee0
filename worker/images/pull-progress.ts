import { LayerProgress } from '../../proto/index.ts';
import type { ImageProgress, OnProgress } from '../../shared/distribution/source.ts';

/** How far an image is, for people: a sentence, and every layer. */
export interface PullState {
  readonly message: string;
  readonly layers: readonly LayerProgress[];
}

/** The layers of one image on their way, in the order of the manifest, and who listens to them. */
export class PullProgress {
  readonly #layers = new Map<string, ImageProgress>();
  readonly #listeners = new Set<OnProgress>();

  /** Who comes later hears first of what there was before. */
  listen(fn: OnProgress): void {
    this.#listeners.add(fn);
    for (const progress of this.#layers.values()) fn(progress);
  }
  unlisten(fn: OnProgress): void {
    this.#listeners.delete(fn);
  }
  readonly tell: OnProgress = (progress) => {
    this.#layers.set(progress.digest, progress);
    for (const fn of this.#listeners) fn(progress);
  };
}

/** Gathers what is told of single layers. */
export class PullSummary {
  readonly #image: string;
  readonly #layers = new Map<string, ImageProgress>();

  constructor(image: string) {
    this.#image = image.replace(/@sha256:.*$/, '');
  }
  add(progress: ImageProgress): void {
    this.#layers.set(progress.digest, progress);
  }
  get state(): PullState {
    const all = [...this.#layers.values()];
    if (all.length === 0) return { message: `looking up ${this.#image}`, layers: [] };
    const layers = all.map((layer) => LayerProgress.create(layer));
    const arrived = all.filter(({ what }) => what !== 'waiting' && what !== 'fetching').length;
    const sum = (of: (layer: ImageProgress) => number) =>
      all.reduce((n, layer) => n + of(layer), 0);
    const size = `${megabytes(sum((l) => l.doneBytes))} of ${megabytes(sum((l) => l.totalBytes))} MB`;
    if (arrived < all.length)
      return {
        message: `pulling ${this.#image}: ${arrived} of ${all.length} layers, ${size}`,
        layers,
      };
    const unpacked = all.filter(({ what }) => what === 'done').length;
    return { message: `unpacking ${this.#image}: ${unpacked} of ${all.length} layers`, layers };
  }
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}
