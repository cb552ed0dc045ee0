import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '../limits.ts';
import { type Descriptor, MEDIA, parseConfig, parseIndex, sha256 } from './documents.ts';
import { ImageError } from './image-error.ts';
import type { BlobStream, ImageSource } from './source.ts';
import { TarIndex } from './tar-index.ts';

/** One image of an archive and the names it has there. */
export interface ArchivedImage {
  readonly names: readonly string[];
  /** Of its manifest, or of an index. */
  readonly root: Descriptor;
}

/** A saved image: `docker save` of any age, or an OCI layout, as a tar file or as a directory. */
export interface Archive extends ImageSource {
  readonly images: readonly ArchivedImage[];
  /** Archives of one platform may keep the index of all: not every part it names is there. */
  has(digest: string): Promise<boolean>;
  close(): Promise<void>;
}

/** Throws ImageError IMAGE_INVALID, or Node's own errors for a file that can't be read. */
export async function openArchive(path: string): Promise<Archive> {
  const files = (await stat(path)).isDirectory()
    ? new DirectoryFiles(path)
    : await TarIndex.open(path);
  try {
    if (await files.has('index.json')) return new LayoutArchive(path, files, await layout(files));
    if (await files.has('manifest.json')) return await openDockerArchive(path, files);
    throw broken('it has neither index.json nor manifest.json');
  } catch (error) {
    await files.close();
    throw error;
  }
}

interface Files {
  has(name: string): boolean | Promise<boolean>;
  size(name: string): number | Promise<number>;
  read(name: string): Promise<Uint8Array>;
  stream(name: string, from: number): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

class DirectoryFiles implements Files {
  readonly #path: string;
  constructor(path: string) {
    this.#path = path;
  }
  async has(name: string): Promise<boolean> {
    const found = await stat(join(this.#path, name)).catch(() => undefined);
    return found?.isFile() === true;
  }
  async size(name: string): Promise<number> {
    return (await stat(join(this.#path, name))).size;
  }
  async read(name: string): Promise<Uint8Array> {
    if (!(await this.has(name))) throw broken(`${name} is missing in it`);
    if ((await this.size(name)) > LIMITS.imageDocumentBytesMax)
      throw broken(`${name} is too large`);
    return readFile(join(this.#path, name));
  }
  stream(name: string, from: number): AsyncIterable<Uint8Array> {
    return createReadStream(join(this.#path, name), { start: from });
  }
  async close(): Promise<void> {}
}

async function layout(files: Files): Promise<readonly ArchivedImage[]> {
  const found = new Map<string, { root: Descriptor; names: string[] }>();
  for (const root of parseIndex(await files.read('index.json'))) {
    const notes = root.annotations ?? {};
    const name = notes['io.containerd.image.name'] ?? '';
    const short = notes['org.opencontainers.image.ref.name'] ?? '';
    const known = found.get(root.digest) ?? { root, names: [] };
    found.set(root.digest, known);
    if (name !== '') known.names.push(name);
    // A bare tag names no image.
    else if (/[/:]/.test(short)) known.names.push(short);
  }
  return [...found.values()];
}

class LayoutArchive implements Archive {
  readonly from: string;
  readonly images: readonly ArchivedImage[];
  readonly #files: Files;
  constructor(path: string, files: Files, images: readonly ArchivedImage[]) {
    this.from = path;
    this.#files = files;
    this.images = images;
  }
  document(descriptor: Descriptor): Promise<Uint8Array> {
    return this.#files.read(blobPath(descriptor));
  }
  async blob(descriptor: Descriptor, offset: number): Promise<BlobStream> {
    const path = blobPath(descriptor);
    if (!(await this.#files.has(path))) throw broken(`layer ${descriptor.digest} is missing in it`);
    return { offset, bytes: this.#files.stream(path, offset) };
  }
  async has(digest: string): Promise<boolean> {
    return this.#files.has(`blobs/${digest.replace(':', '/')}`);
  }
  close(): Promise<void> {
    return this.#files.close();
  }
}

function blobPath({ digest }: Descriptor): string {
  return `blobs/${digest.replace(':', '/')}`;
}

/** The old form has no manifests as registries know them: each image gets one here. */
async function openDockerArchive(path: string, files: Files): Promise<Archive> {
  const documents = new Map<string, Uint8Array>();
  const places = new Map<string, string>();
  const images: ArchivedImage[] = [];
  for (const entry of parseEntries(await files.read('manifest.json'))) {
    const config = await files.read(entry.config);
    const { diffIds } = parseConfig(config);
    if (diffIds.length !== entry.layers.length) throw broken('its layers are not those it names');
    const layers: Descriptor[] = [];
    for (const [at, name] of entry.layers.entries()) {
      const layer = await layerOf(files, name, diffIds[at]!);
      places.set(layer.digest, name);
      layers.push(layer);
    }
    const about = { mediaType: MEDIA.ociConfig, digest: sha256(config), size: config.length };
    documents.set(about.digest, config);
    const mediaType = MEDIA.ociManifest;
    const manifest = JSON.stringify({ schemaVersion: 2, mediaType, config: about, layers });
    const bytes = Buffer.from(manifest);
    const root = { mediaType, digest: sha256(bytes), size: bytes.length };
    documents.set(root.digest, bytes);
    images.push({ names: entry.tags, root });
  }
  return {
    from: path,
    images,
    has: async (digest) => documents.has(digest) || places.has(digest),
    async document({ digest }) {
      const bytes = documents.get(digest);
      if (bytes === undefined) throw broken(`${digest} is missing in it`);
      return bytes;
    },
    async blob({ digest }, offset) {
      const made = documents.get(digest);
      if (made !== undefined) return { offset, bytes: oneOf(made.subarray(offset)) };
      return { offset, bytes: files.stream(places.get(digest) ?? digest, offset) };
    },
    close: () => files.close(),
  };
}

async function* oneOf(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

/** A layer in an archive is plain most of the time; what it is, its first bytes say. */
async function layerOf(files: Files, name: string, diffId: string): Promise<Descriptor> {
  const size = await files.size(name);
  const hash = createHash('sha256');
  let first: Uint8Array | undefined;
  for await (const bytes of files.stream(name, 0)) {
    first ??= bytes;
    hash.update(bytes);
  }
  const digest = `sha256:${hash.digest('hex')}`;
  const gzip = first !== undefined && first[0] === 0x1f && first[1] === 0x8b;
  if (!gzip && digest !== diffId) throw broken(`its layer ${name} is damaged`);
  return { mediaType: gzip ? MEDIA.ociLayerGzip : MEDIA.ociLayer, digest, size };
}

interface DockerEntry {
  readonly config: string;
  readonly tags: readonly string[];
  readonly layers: readonly string[];
}

function parseEntries(bytes: Uint8Array): readonly DockerEntry[] {
  try {
    const value = JSON.parse(Buffer.from(bytes).toString('utf8')) as readonly {
      Config: string;
      RepoTags: readonly string[] | null;
      Layers: readonly string[] | null;
    }[];
    return value.map(({ Config, RepoTags, Layers }) => ({
      config: String(Config),
      tags: (RepoTags ?? []).map(String),
      layers: (Layers ?? []).map(String),
    }));
  } catch {
    throw broken('its manifest.json is malformed');
  }
}

function broken(why: string): ImageError {
  return new ImageError('IMAGE_INVALID', `can't read the image: ${why}`);
}
