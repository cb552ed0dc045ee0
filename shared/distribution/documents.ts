import { createHash } from 'node:crypto';
import { LIMITS } from '../limits.ts';
import { ImageError } from './image-error.ts';

/** A blob by what it is, its digest and its length. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: { readonly [key: string]: string };
  readonly platform?: {
    readonly os: string;
    readonly architecture: string;
    readonly variant?: string;
  };
}

export interface Manifest {
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

/** The parts of an image's configuration that are used. */
export interface ImageConfig {
  readonly os: string;
  readonly architecture: string;
  readonly diffIds: readonly string[];
  readonly env: readonly string[];
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  readonly user: string;
  readonly workdir: string;
  readonly stopSignal: string;
  readonly volumes: readonly string[];
  /** Undefined: it says nothing of checks, nor of a shell for them. */
  readonly check?: ImageCheck | undefined;
}

/** How an image wants to be looked at: `HEALTHCHECK` and `SHELL`. Zero: not said. */
export interface ImageCheck {
  /** As in HealthCheck.cmd; empty: only the shell is said. */
  readonly test: readonly string[];
  readonly shell: readonly string[];
  readonly intervalMs: number;
  readonly timeoutMs: number;
  readonly startPeriodMs: number;
  readonly startIntervalMs: number;
  readonly retries: number;
}

export const MEDIA = {
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

export function isIndex(mediaType: string): boolean {
  return mediaType === MEDIA.ociIndex || mediaType === MEDIA.dockerIndex;
}

/** Layouts and registries do not always say what a document is; the document does. */
export function mediaTypeOf(descriptor: Descriptor, bytes: Uint8Array): string {
  if (descriptor.mediaType !== '') return descriptor.mediaType;
  const text = Buffer.from(bytes).toString('utf8');
  const named = /"mediaType"\s*:\s*"([^"]+)"/.exec(text)?.[1];
  return named ?? (text.includes('"manifests"') ? MEDIA.ociIndex : MEDIA.ociManifest);
}

export function isDigest(text: string): boolean {
  return /^sha256:[0-9a-f]{64}$/.test(text);
}

export function sha256(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** The name of the snapshot that layer `n` and all below it make. */
export function chainIds(diffIds: readonly string[]): readonly string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : sha256(`${below} ${diffId}`));
  }
  return chain;
}

/** The manifests that an index names. Throws ImageError IMAGE_INVALID. */
export function parseIndex(bytes: Uint8Array): readonly Descriptor[] {
  const { manifests } = object(parse(bytes, 'index'), 'index');
  return list(manifests, 'manifests').map((entry) => descriptor(entry, 'manifest of the index'));
}

/** Throws ImageError IMAGE_INVALID. */
export function parseManifest(bytes: Uint8Array): Manifest {
  const value = object(parse(bytes, 'manifest'), 'manifest');
  if (value['schemaVersion'] === 1) {
    throw broken('its manifest has the old form 1: push it again with a newer tool');
  }
  const layers = list(value['layers'], 'layers').map((entry) => descriptor(entry, 'layer'));
  if (layers.length > LIMITS.imageLayersMax) {
    const most = LIMITS.imageLayersMax;
    const text = `the image has ${layers.length} layers, and overlayfs takes no more than ${most}`;
    throw new ImageError('IMAGE_INVALID', text);
  }
  return { config: descriptor(value['config'], 'config'), layers };
}

/** Throws ImageError IMAGE_INVALID. */
export function parseConfig(bytes: Uint8Array): ImageConfig {
  const value = object(parse(bytes, 'configuration'), 'configuration');
  const config = object(value['config'] ?? {}, 'configuration');
  const rootfs = object(value['rootfs'] ?? {}, 'rootfs');
  return {
    os: text(value['os']) || 'linux',
    architecture: text(value['architecture']),
    diffIds: texts(rootfs['diff_ids']),
    env: texts(config['Env']),
    entrypoint: texts(config['Entrypoint']),
    cmd: texts(config['Cmd']),
    user: text(config['User']),
    workdir: text(config['WorkingDir']),
    stopSignal: text(config['StopSignal']),
    volumes: Object.keys(object(config['Volumes'] ?? {}, 'volumes')).sort(),
    check: parseCheck(config),
  };
}

function parseCheck(config: { readonly [key: string]: unknown }): ImageCheck | undefined {
  const given = config['Healthcheck'] ?? undefined;
  const shell = texts(config['Shell']);
  if (given === undefined && shell.length === 0) return undefined;
  const check = object(given ?? {}, 'health check');
  const whole = (name: string, unit: number): number => {
    const value = Number(check[name] ?? 0) / unit;
    return Number.isFinite(value) ? Math.min(Math.max(0, Math.round(value)), MS_MAX) : 0;
  };
  return {
    test: texts(check['Test']),
    shell,
    intervalMs: whole('Interval', NANOS_A_MS),
    timeoutMs: whole('Timeout', NANOS_A_MS),
    startPeriodMs: whole('StartPeriod', NANOS_A_MS),
    startIntervalMs: whole('StartInterval', NANOS_A_MS),
    retries: whole('Retries', 1),
  };
}

const NANOS_A_MS = 1e6;
/** Timers take no more. */
const MS_MAX = 2 ** 31 - 1;

/** The best manifest of an index for this machine, or a clear refusal. */
export function choosePlatform(manifests: readonly Descriptor[], architecture: string): Descriptor {
  const wanted = variantsOf(architecture);
  let best: { descriptor: Descriptor; rank: number } | undefined;
  for (const each of manifests) {
    const { os = 'linux', architecture: arch = '', variant = '' } = each.platform ?? {};
    if (os !== 'linux') continue;
    const plain = variant === 'v8' && arch === 'arm64' ? '' : variant;
    const rank = wanted.findIndex((w) => w.architecture === arch && w.variant === plain);
    if (rank >= 0 && (best === undefined || rank < best.rank)) best = { descriptor: each, rank };
  }
  if (best) return best.descriptor;
  const only = manifests.length === 1 && !manifests[0]!.platform ? manifests[0] : undefined;
  if (only) return only;
  const have = manifests.flatMap(({ platform: p }) =>
    p && p.os !== 'unknown' ? [`${p.os}/${p.architecture}`] : [],
  );
  throw wrongPlatform(have.length > 0 ? [...new Set(have)].join(', ') : 'nothing', architecture);
}

export function wrongPlatform(has: string, architecture: string): ImageError {
  return new ImageError(
    'IMAGE_PLATFORM',
    `the image is for ${has}, and this node is linux/${architecture}`,
  );
}

/** Best first, as containerd orders them. */
function variantsOf(architecture: string): readonly { architecture: string; variant: string }[] {
  const plain = { architecture, variant: '' };
  if (architecture === 'amd64') {
    return [plain, { architecture, variant: 'v1' }, { architecture: '386', variant: '' }];
  }
  if (architecture !== 'arm64') return [plain];
  const arm = ['v8', 'v7', 'v6', 'v5'].map((variant) => ({ architecture: 'arm', variant }));
  return [plain, ...arm];
}

function descriptor(value: unknown, what: string): Descriptor {
  const { mediaType, digest, size, annotations, platform } = object(value, what);
  if (!isDigest(text(digest))) throw broken(`its ${what} has no sha256 digest`);
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw broken(`its ${what} has no size`);
  return {
    mediaType: text(mediaType),
    digest: text(digest),
    size: size as number,
    ...(annotations ? { annotations: annotations as { [key: string]: string } } : {}),
    ...(platform ? { platform: platform as NonNullable<Descriptor['platform']> } : {}),
  };
}

function parse(bytes: Uint8Array, what: string): unknown {
  if (bytes.length > LIMITS.imageDocumentBytesMax) throw broken(`its ${what} is too large`);
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw broken(`its ${what} is not JSON`);
  }
}

function object(value: unknown, what: string): { readonly [key: string]: unknown } {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as { [key: string]: unknown };
  }
  throw broken(`its ${what} is missing or malformed`);
}

function list(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw broken(`its ${what} are missing`);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function texts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

function broken(why: string): ImageError {
  return new ImageError('IMAGE_INVALID', `the image is broken: ${why}`);
}
