import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** For tests: images made here, from bytes. */
export interface TarEntry {
  readonly name: string;
  readonly content?: Uint8Array | string;
  readonly mode?: number;
  readonly uid?: number;
  readonly type?: 'file' | 'directory' | 'symlink';
  readonly link?: string;
}

export function tar(entries: readonly TarEntry[]): Buffer {
  const blocks: Buffer[] = [];
  for (const entry of entries) {
    const content = Buffer.from(entry.content ?? '');
    blocks.push(header(entry, content.length), content);
    blocks.push(Buffer.alloc((512 - (content.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

function header(entry: TarEntry, size: number): Buffer {
  const { name, mode = 0o755, uid = 0, type = 'file', link = '' } = entry;
  const head = Buffer.alloc(512);
  head.write(name.slice(0, 100), 0);
  const octal = (value: number, at: number, length: number): void => {
    head.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
  };
  octal(mode, 100, 8);
  octal(uid, 108, 8);
  octal(uid, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  head.write('        ', 148);
  head.write(type === 'directory' ? '5' : type === 'symlink' ? '2' : '0', 156);
  head.write(link, 157);
  head.write('ustar\x0000', 257, 'latin1');
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return head;
}

export interface ImageParts {
  readonly layers: readonly (readonly TarEntry[])[];
  /** As in the image's configuration: Env, Cmd, Entrypoint, User, WorkingDir, ... */
  readonly config?: { readonly [key: string]: unknown };
  readonly architecture?: string;
}

interface Blob {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly bytes: Buffer;
}

export interface BuiltImage {
  readonly config: Blob;
  readonly layers: readonly Blob[];
  readonly manifest: Blob;
  /** Uncompressed layers, for archives of the old form. */
  readonly plainLayers: readonly Buffer[];
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function blob(mediaType: string, bytes: Buffer): Blob {
  return { mediaType, digest: digestOf(bytes), size: bytes.length, bytes };
}

function described({ mediaType, digest, size }: Blob): object {
  return { mediaType, digest, size };
}

export function buildImage(parts: ImageParts): BuiltImage {
  const plainLayers = parts.layers.map((entries) => tar(entries));
  const layers = plainLayers.map((bytes) =>
    blob('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(bytes, { level: 1 })),
  );
  const config = blob(
    'application/vnd.oci.image.config.v1+json',
    Buffer.from(
      JSON.stringify({
        os: 'linux',
        architecture: parts.architecture ?? (process.arch === 'x64' ? 'amd64' : process.arch),
        config: parts.config ?? {},
        rootfs: { type: 'layers', diff_ids: plainLayers.map(digestOf) },
      }),
    ),
  );
  const manifest = manifestOf(config, layers);
  return { config, layers, manifest, plainLayers };
}

/** Of layers that may be others than the configuration's. */
export function manifestOf(config: Blob, layers: readonly Blob[]): Blob {
  const mediaType = 'application/vnd.oci.image.manifest.v1+json';
  const value = {
    schemaVersion: 2,
    mediaType,
    config: described(config),
    layers: layers.map(described),
  };
  return blob(mediaType, Buffer.from(JSON.stringify(value)));
}

/** The bytes of a `docker save` file of the old form. */
export function dockerArchive(image: BuiltImage, tags: readonly string[]): Buffer {
  const names = image.plainLayers.map((_, at) => `layer${at}/layer.tar`);
  const entry = { Config: 'config.json', RepoTags: tags, Layers: names };
  return tar([
    ...image.plainLayers.map((content, at) => ({ name: names[at]!, content })),
    { name: 'config.json', content: image.config.bytes },
    { name: 'manifest.json', content: JSON.stringify([entry]) },
  ]);
}

/** The files of an OCI layout, by name. */
export function ociLayout(image: BuiltImage, name: string): ReadonlyMap<string, Buffer> {
  const files = new Map<string, Buffer>();
  for (const each of [image.config, image.manifest, ...image.layers]) {
    files.set(`blobs/${each.digest.replace(':', '/')}`, each.bytes);
  }
  const annotations = { 'io.containerd.image.name': name };
  const index = { schemaVersion: 2, manifests: [{ ...described(image.manifest), annotations }] };
  files.set('index.json', Buffer.from(JSON.stringify(index)));
  files.set('oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  return files;
}

export function writeLayout(directory: string, files: ReadonlyMap<string, Buffer>): void {
  for (const [name, bytes] of files) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), bytes);
  }
}
