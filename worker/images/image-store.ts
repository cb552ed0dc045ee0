import { type Image, ImagesService, type Lease, LeasesService } from '../../proto/containerd.ts';
import type { Clock } from '../../shared/clock.ts';
import { type Archive, openArchive } from '../../shared/distribution/archive.ts';
import {
  chainIds,
  choosePlatform,
  type Descriptor,
  type ImageConfig,
  isIndex,
  type Manifest,
  mediaTypeOf,
  parseConfig,
  parseIndex,
  parseManifest,
  sha256,
  wrongPlatform,
} from '../../shared/distribution/documents.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import {
  type ImageReference,
  imageName,
  parseReference,
  withDigest,
} from '../../shared/distribution/reference.ts';
import type { Registry } from '../../shared/distribution/registry.ts';
import type { ImageSource, OnProgress, RegistryAuth } from '../../shared/distribution/source.ts';
import { messageOf } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import { type Containerd, unless } from '../containerd.ts';
import { RuntimeError } from '../runtime.ts';
import type { HeldImage } from './image-collector.ts';
import { type FetchContext, LayerStore, SNAPSHOTTER } from './layer-store.ts';
import { PullProgress } from './pull-progress.ts';

export interface ImageStoreDeps {
  readonly containerd: Containerd;
  readonly registry: Registry;
  /** Images that the managers keep. */
  readonly managers: ImageSource;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** As registries name it: amd64, arm64. */
  readonly architecture: string;
}

/** An image whose layers are unpacked: a container can be made from it at once. */
export interface ReadyImage {
  /** Its name in containerd. */
  readonly name: string;
  /** Of the manifest for this machine. */
  readonly digest: string;
  /** The snapshot of all its layers. */
  readonly chainId: string;
  readonly config: ImageConfig;
}

/** What one task wants of the store. */
export interface ImageWish {
  readonly image: string;
  readonly auth: RegistryAuth | undefined;
  /** There is a login, but it is not here: only a manager has it. */
  readonly awaitsAuth: boolean;
  /** The managers keep it: they are asked before its registry. */
  readonly onManagers: boolean;
  readonly onProgress: OnProgress;
  readonly signal: AbortSignal;
}

/** One image as `image ls` shows it. */
export interface StoredImage {
  readonly name: string;
  readonly digest: string;
  readonly loaded: boolean;
}

/** Came from a file: no registry is asked for it. */
const LOADED_LABEL = 'swarm.loaded';
/** When a task asked for it last. */
const USED_LABEL = 'swarm.used';
const LEASE_LABEL = 'containerd.io/gc.expire';
const LEASE_MS = 24 * 3_600_000;
const WRONG: ReadonlySet<string> = new Set(['IMAGE_INVALID', 'IMAGE_PLATFORM', 'INVALID_SPEC']);

/** The images of this node, in containerd. */
export class ImageStore {
  readonly #deps: ImageStoreDeps;
  readonly #layers: LayerStore;
  readonly #pulls = new Map<string, Pull>();
  readonly #finds = new Map<string, Promise<Image | undefined>>();
  readonly #looks = new Map<string, Promise<ReadyImage | undefined>>();

  constructor(deps: ImageStoreDeps) {
    this.#deps = deps;
    this.#layers = new LayerStore(deps.containerd, deps.random, deps.clock);
  }
  /** Gives up what an earlier daemon had begun. */
  async open(): Promise<void> {
    const { leases } = await this.#deps.containerd.call(LeasesService.list, {});
    for (const lease of leases) await this.#endLease(lease.id);
  }
  /**
   * The image for a container. By digest what is here is taken; by tag the registry is asked, and what
   * is here is taken where it gives none. Throws RuntimeError with the reason for people.
   */
  async ensure(wish: ImageWish): Promise<ReadyImage> {
    const { image: text, signal } = wish;
    const reference = parseReference(text);
    const local = await this.#local(reference);
    if (local && (reference.digest !== '' || local.labels[LOADED_LABEL] === 'yes')) {
      const ready = await this.#ready(local, signal);
      if (ready) return ready;
    }
    try {
      return await this.#pull(reference, wish);
    } catch (error) {
      signal.throwIfAborted();
      // What came is wrong: an older image would only hide it.
      if (error instanceof ImageError && WRONG.has(error.code)) throw error;
      const ready = local && (await this.#ready(local, signal));
      if (!ready) throw error;
      const reason = messageOf(error);
      this.#deps.log.warn({ image: text, reason }, 'the image here is used: no newer one came');
      return ready;
    }
  }
  /** Every image of a `docker save` file, an OCI layout file or directory. Returns their names. */
  async importArchive(path: string, signal: AbortSignal): Promise<readonly ReadyImage[]> {
    const archive = await openArchive(path);
    try {
      return await this.#withLease((lease) => this.#importAll(archive, { lease, signal }));
    } finally {
      await archive.close();
    }
  }
  /** By what they are: an image has a name for each way in which it was asked for. */
  async held(): Promise<readonly HeldImage[]> {
    const { images } = await this.#deps.containerd.call(ImagesService.list, {});
    const found = new Map<string, { names: string[]; digests: string[]; usedWallMs: number }>();
    for (const { name, target, labels } of images) {
      const digest = target?.digest ?? '';
      const known = found.get(digest) ?? { names: [], digests: [digest], usedWallMs: 0 };
      found.set(digest, known);
      known.names.push(name);
      const pinned = /@(sha256:[0-9a-f]{64})$/.exec(name)?.[1];
      if (pinned !== undefined) known.digests.push(pinned);
      known.usedWallMs = Math.max(known.usedWallMs, Number(labels[USED_LABEL] ?? 0));
    }
    return [...found.values()];
  }
  async list(): Promise<readonly StoredImage[]> {
    const { images } = await this.#deps.containerd.call(ImagesService.list, {});
    return images.map(({ name, target, labels }) => ({
      name,
      digest: target?.digest ?? '',
      loaded: labels[LOADED_LABEL] === 'yes',
    }));
  }
  /** Its layers go as well, where no other image and no container has them. False: there is none. */
  async remove(name: string): Promise<boolean> {
    const deleted = this.#deps.containerd.call(ImagesService.delete, { name, sync: true });
    return (await unless(deleted, 'NOT_FOUND')) !== undefined;
  }

  async #importAll(
    archive: Archive,
    { lease, signal }: Pick<FetchContext, 'lease' | 'signal'>,
  ): Promise<ReadyImage[]> {
    const ready: ReadyImage[] = [];
    for (const { names, root } of archive.images) {
      const context = { source: archive, lease, signal, onProgress: () => undefined };
      const image = await this.#fetch(root, context);
      const labels = { [LOADED_LABEL]: 'yes' };
      const references = names.map((name) => parseReference(name));
      const byDigest = references.map((r) => imageName(withDigest(r, root.digest)));
      const all = new Set([...references.map(imageName), ...byDigest]);
      if (all.size === 0) all.add(`loaded@${image.target.digest}`);
      for (const name of all) await this.#name(name, image.target, labels);
      ready.push({ ...image.ready, name: [...all][0]! });
    }
    return ready;
  }
  async #pull(reference: ImageReference, wish: ImageWish): Promise<ReadyImage> {
    const { auth, signal } = wish;
    const name = imageName(reference);
    // Credentials may differ: who has none does not profit from another's right to pull.
    const key = JSON.stringify([name, auth?.username, auth?.password]);
    const running = this.#pulls.get(key);
    if (running) {
      const ready = await shareOf(running, wish);
      signal.throwIfAborted();
      if (ready) return ready;
    }
    const progress = new PullProgress();
    progress.listen(wish.onProgress);
    const own = { ...wish, onProgress: progress.tell };
    const pull = wish.onManagers
      ? this.#fromManagers(reference, own)
      : this.#fromRegistry(reference, own);
    const entry = { ready: pull, progress };
    this.#pulls.set(key, entry);
    return pull.finally(() => {
      if (this.#pulls.get(key) === entry) this.#pulls.delete(key);
    });
  }
  /** Where the managers have it no more its registry is asked. */
  async #fromManagers(reference: ImageReference, wish: ImageWish): Promise<ReadyImage> {
    const root = { mediaType: '', digest: reference.digest, size: 0 };
    try {
      return await this.#take(reference, this.#deps.managers, root, wish);
    } catch (error) {
      if (!(error instanceof ImageError) || error.code !== 'IMAGE_NOT_FOUND') throw error;
      return this.#fromRegistry(reference, wish).catch((second) => {
        throw WRONG.has((second as ImageError).code) ? second : error;
      });
    }
  }
  async #fromRegistry(reference: ImageReference, wish: ImageWish): Promise<ReadyImage> {
    if (wish.awaitsAuth) {
      const text = `the login for ${reference.host} has not come from a manager yet`;
      throw new ImageError('IMAGE_AUTH', text, true);
    }
    const source = this.#deps.registry.image(reference, wish.auth);
    return this.#take(reference, source, await source.resolve(wish.signal), wish);
  }
  #take(
    reference: ImageReference,
    source: ImageSource,
    root: Descriptor,
    { onProgress, signal }: ImageWish,
  ): Promise<ReadyImage> {
    const name = imageName(reference);
    return this.#withLease(async (lease) => {
      const image = await this.#fetch(root, { source, lease, signal, onProgress });
      await this.#name(name, image.target, {});
      await this.#name(imageName(withDigest(reference, root.digest)), image.target, {});
      return { ...image.ready, name };
    });
  }
  async #fetch(
    root: Descriptor,
    context: FetchContext,
  ): Promise<{ readonly ready: Omit<ReadyImage, 'name'>; readonly target: Descriptor }> {
    const { source, lease, signal } = context;
    let target = root;
    let bytes = await checked(source, target, signal);
    if (isIndex(mediaTypeOf(target, bytes))) {
      target = choosePlatform(parseIndex(bytes), this.#deps.architecture);
      bytes = await checked(source, target, signal);
    }
    target = { ...target, mediaType: mediaTypeOf(target, bytes), size: bytes.length };
    const manifest = parseManifest(bytes);
    const configBytes = await checked(source, manifest.config, signal);
    const config = this.#checkedConfig(manifest, configBytes);
    for (const { digest, size } of manifest.layers)
      context.onProgress({ digest, doneBytes: 0, totalBytes: size, what: 'waiting' });
    await this.#fetchLayers(manifest.layers, context);
    const chainId = await this.#layers.unpack(manifest.layers, config.diffIds, context);
    const snapshot = { [`containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`]: chainId };
    await this.#layers.writeDocument(manifest.config, configBytes, snapshot, lease);
    await this.#layers.writeDocument(target, bytes, manifestLabels(manifest), lease);
    return { target, ready: { digest: target.digest, chainId, config } };
  }
  async #fetchLayers(layers: readonly Descriptor[], context: FetchContext): Promise<void> {
    const failed = new AbortController();
    const signal = AbortSignal.any([context.signal, failed.signal]);
    const waiting = [...layers];
    const work = async (): Promise<void> => {
      for (let layer = waiting.shift(); layer; layer = waiting.shift()) {
        await this.#layers.ensureBlob(layer, { ...context, signal });
      }
    };
    const workers = Array.from({ length: LIMITS.pullBlobsMax }, () =>
      work().catch((error) => {
        failed.abort(error);
        throw error;
      }),
    );
    const results = await Promise.allSettled(workers);
    context.signal.throwIfAborted();
    if (results.some(({ status }) => status === 'rejected')) throw failed.signal.reason;
  }
  #checkedConfig(manifest: Manifest, bytes: Uint8Array): ImageConfig {
    const config = parseConfig(bytes);
    if (config.diffIds.length !== manifest.layers.length) {
      const text = 'the image is broken: its configuration names other layers than its manifest';
      throw new ImageError('IMAGE_INVALID', text);
    }
    const { architecture } = this.#deps;
    const runs = config.architecture === architecture || config.architecture === '';
    const compatible = architecture === 'amd64' && config.architecture === '386';
    if (config.os !== 'linux' || !(runs || compatible)) {
      throw wrongPlatform(`${config.os}/${config.architecture}`, architecture);
    }
    return config;
  }
  /** Many tasks of one image ask once, together. */
  #local(reference: ImageReference): Promise<Image | undefined> {
    const name = imageName(reference);
    const running = this.#finds.get(name);
    if (running) return running;
    const find = this.#find(name, reference).finally(() => this.#finds.delete(name));
    this.#finds.set(name, find);
    return find;
  }
  async #find(name: string, reference: ImageReference): Promise<Image | undefined> {
    const { containerd } = this.#deps;
    const found = await unless(containerd.call(ImagesService.get, { name }), 'NOT_FOUND');
    if (found?.image) return found.image;
    if (reference.digest === '') return undefined;
    // The same digest under another name is the same image.
    const filters = [`target.digest==${reference.digest}`];
    const { images } = await containerd.call(ImagesService.list, { filters });
    return images[0];
  }
  /** Undefined when parts of it are gone. Many tasks of one image look once, together. */
  #ready(image: Image, signal: AbortSignal): Promise<ReadyImage | undefined> {
    const { name, target } = image;
    const key = `${name} ${target?.digest}`;
    const running = this.#looks.get(key);
    if (running) return running.catch(() => this.#look(image, signal));
    const look = this.#look(image, signal).finally(() => this.#looks.delete(key));
    this.#looks.set(key, look);
    return look;
  }
  async #look(image: Image, signal: AbortSignal): Promise<ReadyImage | undefined> {
    const { name, target } = image;
    if (!target || !(await this.#layers.has(target.digest))) return undefined;
    await this.#touch(image);
    const manifest = parseManifest(await this.#layers.read(target.digest));
    if (!(await this.#layers.has(manifest.config.digest))) return undefined;
    const config = parseConfig(await this.#layers.read(manifest.config.digest));
    for (const { digest } of manifest.layers) {
      if (!(await this.#layers.has(digest))) return undefined;
    }
    const top = chainIds(config.diffIds).at(-1) ?? '';
    const chainId = (await this.#layers.hasSnapshot(top))
      ? top
      : await this.#withLease((lease) => {
          const context = { source: NO_SOURCE, lease, signal, onProgress: () => undefined };
          return this.#layers.unpack(manifest.layers, config.diffIds, context);
        });
    return { name, digest: target.digest, chainId, config };
  }
  async #touch({ name, labels }: Image): Promise<void> {
    const { containerd, clock } = this.#deps;
    const nowMs = clock.wallMs();
    if (nowMs - Number(labels[USED_LABEL] ?? 0) < LIMITS.imageUsedMs) return;
    const image = { name, labels: { [USED_LABEL]: String(nowMs) } };
    const updateMask = { paths: [`labels.${USED_LABEL}`] };
    await unless(containerd.call(ImagesService.update, { image, updateMask }), 'NOT_FOUND');
  }
  async #name(
    name: string,
    target: Descriptor,
    labels: { readonly [key: string]: string },
  ): Promise<void> {
    const { containerd } = this.#deps;
    const { mediaType, digest, size } = target;
    const used = { [USED_LABEL]: String(this.#deps.clock.wallMs()) };
    const image = { name, labels: { ...labels, ...used }, target: { mediaType, digest, size } };
    const created = containerd.call(ImagesService.create, { image });
    if (await unless(created, 'ALREADY_EXISTS')) return;
    const updateMask = { paths: ['target', 'labels'] };
    await containerd.call(ImagesService.update, { image, updateMask });
  }
  async #withLease<T>(fn: (lease: string) => Promise<T>): Promise<T> {
    const { containerd, random, clock } = this.#deps;
    const id = `swarm-${Buffer.from(random.bytes(8)).toString('hex')}`;
    const expires = new Date(clock.wallMs() + LEASE_MS).toISOString();
    const labels = { [LEASE_LABEL]: expires };
    const made: { lease: Lease | null } = await containerd.call(LeasesService.create, {
      id,
      labels,
    });
    try {
      return await fn(made.lease?.id ?? id);
    } finally {
      await this.#endLease(id).catch(() => undefined);
    }
  }
  async #endLease(id: string): Promise<void> {
    const deleted = this.#deps.containerd.call(LeasesService.delete, { id });
    await unless(deleted, 'NOT_FOUND');
  }
}

/** One pull that several tasks wait for. */
interface Pull {
  readonly ready: Promise<ReadyImage>;
  readonly progress: PullProgress;
}

/** Undefined when it failed, or when this one is not wanted any more. */
async function shareOf(pull: Pull, wish: ImageWish): Promise<ReadyImage | undefined> {
  pull.progress.listen(wish.onProgress);
  const ended = pull.ready.catch(() => undefined);
  const ready = await Promise.race([ended, untilAborted(wish.signal)]);
  pull.progress.unlisten(wish.onProgress);
  return ready;
}

function untilAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
    if (signal.aborted) resolve(undefined);
  });
}

const NO_SOURCE: ImageSource = {
  from: 'this node',
  async document() {
    throw new RuntimeError('IO', 'a part of the image is gone');
  },
  async blob() {
    throw new RuntimeError('IO', 'a part of the image is gone');
  },
};

/** What came, when it is what the digest says. */
async function checked(
  source: ImageSource,
  descriptor: Descriptor,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const bytes = await source.document(descriptor, signal);
  if (sha256(bytes) === descriptor.digest) return bytes;
  throw new ImageError(
    'IMAGE_INVALID',
    `${source.from} gave other bytes for ${descriptor.digest} than its digest says`,
  );
}

function manifestLabels(manifest: Manifest): { readonly [key: string]: string } {
  const labels: { [key: string]: string } = {
    'containerd.io/gc.ref.content.config': manifest.config.digest,
  };
  for (const [at, { digest }] of manifest.layers.entries()) {
    labels[`containerd.io/gc.ref.content.l.${at}`] = digest;
  }
  return labels;
}
