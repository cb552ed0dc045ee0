import {
  ContentService,
  DiffService,
  LeasesService,
  SnapshotsService,
  WriteAction,
} from '../../proto/containerd.ts';
import { type Clock, delay } from '../../shared/clock.ts';
import { chainIds, type Descriptor } from '../../shared/distribution/documents.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import type { ImageSource, OnProgress } from '../../shared/distribution/source.ts';
import { messageOf } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Random } from '../../shared/random.ts';
import { type Containerd, ContainerdError, type ContentWriter, unless } from '../containerd.ts';
import { RuntimeError } from '../runtime.ts';

export const SNAPSHOTTER = 'overlayfs';
type Labels = { readonly [key: string]: string };

/** How one fetch of an image is carried out. */
export interface FetchContext {
  readonly source: ImageSource;
  readonly lease: string;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/** A blob on its way into containerd. */
interface Writing {
  /** Its ingest in containerd: what has come stays there for the next try. */
  readonly place: string;
  /** The most bytes that were ever there. */
  reached: number;
  /** When the last ones came. */
  movedMs: number;
  done?: Promise<void>;
}

/** Blobs and unpacked layers in containerd. What two images share is written once. */
export class LayerStore {
  readonly #containerd: Containerd;
  readonly #random: Random;
  readonly #clock: Clock;
  readonly #writing = new Map<string, Writing>();
  readonly #unpacking = new Map<string, Promise<void>>();

  constructor(containerd: Containerd, random: Random, clock: Clock) {
    this.#containerd = containerd;
    this.#random = random;
    this.#clock = clock;
  }
  async has(digest: string): Promise<boolean> {
    const info = this.#containerd.call(ContentService.info, { digest });
    return (await unless(info, 'NOT_FOUND')) !== undefined;
  }
  /** A small blob as a whole. */
  async read(digest: string): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    const request = { digest, size: LIMITS.imageDocumentBytesMax };
    for await (const part of this.#containerd.list(ContentService.read, request)) {
      parts.push(part.data);
    }
    return Buffer.concat(parts);
  }
  /** Labels tell containerd's collector what the blob refers to. */
  async writeDocument(
    descriptor: Descriptor,
    bytes: Uint8Array,
    labels: Labels,
    lease: string,
  ): Promise<void> {
    const { digest } = descriptor;
    const whole = { ref: refOf(digest), total: bytes.length, expected: digest, data: bytes };
    const written = this.#withWriter(lease, (writer) =>
      writer.send({ ...whole, action: WriteAction.COMMIT, labels }),
    );
    await unless(written, 'ALREADY_EXISTS');
    const paths = Object.keys(labels).map((key) => `labels.${key}`);
    if (paths.length === 0) return;
    const info = { digest, labels };
    await this.#containerd.call(ContentService.update, { info, updateMask: { paths } }, { lease });
  }
  /** Resolves when the blob is there, whoever writes it. */
  async ensureBlob(descriptor: Descriptor, context: FetchContext): Promise<void> {
    const { digest, size } = descriptor;
    await this.#hold(context.lease, 'content', digest);
    while (!(await this.has(digest))) {
      const other = this.#writing.get(digest);
      if (other && (await this.#isOver(other, context.signal))) continue;
      // One whose registry hangs keeps its place; this one writes to a place of its own.
      const place = other ? `${refOf(digest)}-${this.#letters()}` : refOf(digest);
      const writing: Writing = { place, reached: 0, movedMs: this.#clock.monotonicMs() };
      writing.done = this.#write(descriptor, context, writing);
      this.#writing.set(digest, writing);
      await writing.done.finally(() => {
        if (this.#writing.get(digest) === writing) this.#writing.delete(digest);
      });
      break;
    }
    context.onProgress({ digest, doneBytes: size, totalBytes: size, what: 'fetched' });
  }
  /** Waits for what somebody else writes. False: nothing has come there for a while. */
  async #isOver(other: Writing, signal: AbortSignal): Promise<boolean> {
    const over = other.done?.then(
      () => true,
      () => true,
    );
    for (;;) {
      const stillMs = this.#clock.monotonicMs() - other.movedMs;
      if (stillMs >= LIMITS.blobStillMs) return false;
      const rest = delay(this.#clock, LIMITS.blobStillMs - stillMs).then(() => false);
      const ended = await Promise.race([over, rest]);
      signal.throwIfAborted();
      if (ended === true) return true;
    }
  }
  /**
   * What is here may be held by nobody but another fetch, and goes when that one fails or is given up,
   * or by an image that is being removed. Held before it is looked for, it stays until this one ends.
   */
  async #hold(lease: string, type: string, id: string): Promise<void> {
    await this.#containerd.call(LeasesService.addResource, { id: lease, resource: { type, id } });
  }
  #letters(): string {
    return Buffer.from(this.#random.bytes(6)).toString('hex');
  }
  async #write(descriptor: Descriptor, context: FetchContext, writing: Writing): Promise<void> {
    const { source, signal, lease } = context;
    const { digest } = descriptor;
    const { place } = writing;
    for (let retry = 0; ; retry++) {
      const before = writing.reached;
      try {
        await this.#withWriter(lease, (writer) =>
          this.#writeOnce(descriptor, context, writer, writing),
        );
        return;
      } catch (error) {
        signal.throwIfAborted();
        if (ContainerdError.is(error, 'ALREADY_EXISTS')) return;
        if (ContainerdError.is(error, 'STATE')) {
          await this.#giveUp(place);
          throw new ImageError(
            'IMAGE_INVALID',
            `${source.from} gave other bytes for ${digest} than its digest says`,
          );
        }
        if (isFull(error)) {
          // What has come would keep others from the little room that there is.
          await this.#giveUp(place);
          throw diskFull("can't be fetched", error);
        }
        if (!(error instanceof ImageError) || !error.temporary) throw error;
        // What has come stays: the next try goes on from there. Where nothing came, who waits is told.
        const goesOn = writing.reached > before && retry < LIMITS.registryRetriesMax;
        if (!goesOn) throw stuck(descriptor, writing.reached, error);
      }
    }
  }
  /**
   * `fn` begins anew while containerd has not noticed yet that whoever wrote there before is gone, be it a
   * stream of ours or of a daemon that was killed: since 2.0 it does not wait for that itself.
   */
  async #withWriter<T>(lease: string, fn: (writer: ContentWriter) => Promise<T>): Promise<T> {
    const untilMs = this.#clock.monotonicMs() + LOCKED_MS;
    for (;;) {
      const writer = this.#containerd.write({ lease });
      try {
        return await fn(writer);
      } catch (error) {
        if (!isLocked(error) || this.#clock.monotonicMs() >= untilMs) throw error;
      } finally {
        writer.close();
      }
      await delay(this.#clock, LOCK_RETRY_MS);
    }
  }
  async #giveUp(ref: string): Promise<void> {
    const abort = this.#containerd.call(ContentService.abort, { ref });
    await abort.catch(() => undefined);
  }
  async #writeOnce(
    descriptor: Descriptor,
    context: FetchContext,
    writer: ContentWriter,
    writing: Writing,
  ): Promise<void> {
    const { digest, size } = descriptor;
    const about = { ref: writing.place, total: size, expected: digest };
    const begun = await writer.send({ ...about, action: WriteAction.STAT });
    let offset = begun.offset;
    // All of it may be here already, from a try that was cut off or from another namespace.
    if (offset < size) offset = await this.#copy(descriptor, offset, context, writer, writing);
    if (offset < size) {
      throw new ImageError(
        'PULL_FAILED',
        `${context.source.from} gave only ${offset} of ${size} bytes of ${digest}`,
        true,
      );
    }
    const labels = { 'swarm.layer': 'yes' };
    await writer.send({ ...about, action: WriteAction.COMMIT, offset, labels });
  }
  /** Returns how far it came. */
  async #copy(
    descriptor: Descriptor,
    from: number,
    context: FetchContext,
    writer: ContentWriter,
    writing: Writing,
  ): Promise<number> {
    const { digest, size } = descriptor;
    const about = { ref: writing.place, total: size, expected: digest };
    const stream = await context.source.blob(descriptor, from, context.signal);
    let offset = stream.offset;
    let told = 0;
    for await (const chunk of sized(stream.bytes)) {
      context.signal.throwIfAborted();
      if (offset + chunk.length > size) {
        throw new ImageError(
          'IMAGE_INVALID',
          `${context.source.from} gave more bytes for ${digest} than its manifest says`,
        );
      }
      await writer.send({ ...about, action: WriteAction.WRITE, offset, data: chunk });
      offset += chunk.length;
      writing.reached = Math.max(writing.reached, offset);
      writing.movedMs = this.#clock.monotonicMs();
      if (offset - told < PROGRESS_BYTES && offset < size) continue;
      told = offset;
      context.onProgress({ digest, doneBytes: offset, totalBytes: size, what: 'fetching' });
    }
    return offset;
  }
  /** Unpacks the layers that are not unpacked yet. Returns the name of the topmost snapshot. */
  async unpack(
    layers: readonly Descriptor[],
    diffIds: readonly string[],
    context: FetchContext,
  ): Promise<string> {
    const chain = chainIds(diffIds);
    for (const [at, name] of chain.entries()) {
      const parent = at === 0 ? '' : chain[at - 1]!;
      const layer = layers[at]!;
      const progress = { digest: layer.digest, doneBytes: layer.size, totalBytes: layer.size };
      const running = this.#unpacking.get(name);
      if (running) await running.catch(() => undefined);
      await this.#hold(context.lease, `snapshots/${SNAPSHOTTER}`, name);
      if (await this.hasSnapshot(name)) {
        context.onProgress({ ...progress, what: 'done' });
        continue;
      }
      context.onProgress({ ...progress, what: 'unpacking' });
      const unpacking = this.#unpackOne(layer, diffIds[at]!, { name, parent }, context);
      this.#unpacking.set(name, unpacking);
      await unpacking.finally(() => this.#unpacking.delete(name));
      context.onProgress({ ...progress, what: 'done' });
    }
    return chain.at(-1) ?? '';
  }
  async hasSnapshot(key: string): Promise<boolean> {
    const stat = this.#containerd.call(SnapshotsService.stat, { snapshotter: SNAPSHOTTER, key });
    return (await unless(stat, 'NOT_FOUND')) !== undefined;
  }
  async #unpackOne(
    layer: Descriptor,
    diffId: string,
    snapshot: { readonly name: string; readonly parent: string },
    { lease, signal }: FetchContext,
  ): Promise<void> {
    const snapshotter = SNAPSHOTTER;
    const { name, parent } = snapshot;
    const key = `extract-${this.#letters()} ${name}`;
    const options = { lease, signal, timeoutMs: UNPACK_MS };
    const prepared = { snapshotter, key, parent };
    const { mounts } = await this.#containerd.call(SnapshotsService.prepare, prepared, options);
    try {
      const { mediaType, digest, size } = layer;
      const diff = { mediaType, digest, size };
      const applied = await this.#containerd.call(DiffService.apply, { diff, mounts }, options);
      if (applied.applied?.digest !== diffId) {
        const is = applied.applied?.digest ?? 'nothing';
        const text = `the image is broken: layer ${digest} unpacks to ${is} instead of ${diffId}`;
        throw new ImageError('IMAGE_INVALID', text);
      }
      await this.#containerd.call(SnapshotsService.commit, { snapshotter, name, key }, options);
    } catch (error) {
      const removed = this.#containerd.call(SnapshotsService.remove, { snapshotter, key });
      await removed.catch(() => undefined);
      if (ContainerdError.is(error, 'ALREADY_EXISTS')) return;
      throw asLayerError(error, layer.digest);
    }
  }
}

const PROGRESS_BYTES = 4 << 20;
/** How long the end of a stream may take to be noticed. */
const LOCKED_MS = 10_000;
const LOCK_RETRY_MS = 20;
/** A layer of gigabytes on a slow disk. */
const UNPACK_MS = 15 * 60_000;

function refOf(digest: string): string {
  return `swarm-${digest}`;
}

function isLocked(error: unknown): boolean {
  return ContainerdError.is(error, 'UNAVAILABLE') && / locked for /.test(messageOf(error));
}

function isFull(error: unknown): boolean {
  return error instanceof ContainerdError && /no space left|quota exceeded/i.test(error.message);
}

function diskFull(what: string, cause: unknown): RuntimeError {
  return new RuntimeError('RESOURCE', `the disk is full: a layer ${what}`, true, cause);
}

function asLayerError(error: unknown, digest: string): unknown {
  if (!(error instanceof ContainerdError)) return error;
  if (isFull(error)) return diskFull("can't be unpacked", error);
  if (error.code !== 'OTHER') return error;
  // containerd says first in which of its directories it worked.
  const why = error.message.replace(
    /^(mount callback failed on|failed to extract layer) [^ ]+: /,
    '',
  );
  return new ImageError('IMAGE_INVALID', `can't unpack layer ${digest}: ${why}`);
}

function stuck({ digest, size }: Descriptor, bytes: number, cause: ImageError): ImageError {
  const text = `can't get layer ${digest} (${bytes} of ${size} bytes came): ${cause.message}`;
  return new ImageError(cause.code, text, true, cause);
}

/** Neither tiny messages nor ones over the limit. */
async function* sized(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let held: Uint8Array[] = [];
  let length = 0;
  let broken: unknown;
  try {
    for await (const chunk of bytes) {
      held.push(chunk);
      length += chunk.length;
      if (length < LIMITS.blobChunkBytes) continue;
      const all = Buffer.concat(held);
      let at = 0;
      for (; at + LIMITS.blobChunkBytes <= all.length; at += LIMITS.blobChunkBytes) {
        yield all.subarray(at, at + LIMITS.blobChunkBytes);
      }
      held = at < all.length ? [all.subarray(at)] : [];
      length = all.length - at;
    }
  } catch (error) {
    broken = error;
  }
  // What came before it broke off is kept as well: the next try begins after it.
  if (length > 0) yield Buffer.concat(held);
  if (broken !== undefined) throw broken;
}
