import { IncomingMessage } from 'node:http';
import type { Clock } from '../clock.ts';
import { LIMITS } from '../limits.ts';
import {
  type Descriptor,
  isDigest,
  isIndex,
  MEDIA,
  mediaTypeOf,
  parseConfig,
  parseIndex,
  parseManifest,
  sha256,
} from './documents.ts';
import { HostClient, type Pauses, type Refusal } from './host-client.ts';
import { bodyOf, wholeBody } from './http.ts';
import { ImageError } from './image-error.ts';
import { proxyFor } from './proxy.ts';
import type { ImageReference } from './reference.ts';
import {
  type ConfigFiles,
  REGISTRY_DIRECTORIES,
  type RegistryHost,
  registryHosts,
} from './registry-hosts.ts';
import type { BlobStream, ImageSource, RegistryAuth } from './source.ts';

export interface RegistryDeps {
  readonly clock: Clock;
  readonly files: ConfigFiles;
  /** `HTTPS_PROXY` and its like; `SWARM_REGISTRIES`: directories instead of the usual ones. */
  readonly env: { readonly [name: string]: string | undefined };
  /** Default: `LIMITS.registryIdleMs`. */
  readonly idleMs?: number;
}

/** The directories with what an operator says of registries. */
function directoriesOf(env: RegistryDeps['env']): readonly string[] {
  const named = (env['SWARM_REGISTRIES'] ?? '').split(':').filter(Boolean);
  return named.length > 0 ? named : REGISTRY_DIRECTORIES;
}

/** Images of registries, by the distribution protocol. */
export class Registry {
  readonly #deps: RegistryDeps;
  readonly #pauses: Pauses = new Map();

  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }
  /** `auth` must be of the reference's own registry. Throws ImageError for a bad `hosts.toml`. */
  image(reference: ImageReference, auth: RegistryAuth | undefined): RegistryImage {
    const clients = this.#hosts(reference.host).map((host) => this.#client(host, auth));
    return new RegistryImage(reference, clients, auth !== undefined);
  }
  /** Rejects with ImageError IMAGE_AUTH where the registry does not take this login. */
  async checkLogin(host: string, auth: RegistryAuth, signal: AbortSignal): Promise<void> {
    const upstream = this.#hosts(host).find(({ isUpstream }) => isUpstream)!;
    const ways = { method: 'GET', path: '', namespace: host, headers: {}, scope: '' } as const;
    const answer = await this.#client(upstream, auth).ask({ ...ways, signal });
    if (answer instanceof IncomingMessage) {
      answer.resume();
      return;
    }
    const { status, text } = answer;
    if (status === 401 || status === 403)
      throw new ImageError('IMAGE_AUTH', `the registry ${host} does not take this login`);
    const why = `it answers ${status} ${brief(text)}`.trim();
    throw new ImageError('PULL_FAILED', `can't ask the registry ${host}: ${why}`, true);
  }
  #hosts(host: string): readonly RegistryHost[] {
    return registryHosts(this.#deps.files, directoriesOf(this.#deps.env), host);
  }
  #client(host: RegistryHost, auth: RegistryAuth | undefined): HostClient {
    const { clock, env, idleMs = LIMITS.registryIdleMs } = this.#deps;
    const proxy = (url: URL) => proxyFor(url, env);
    return new HostClient({ clock, pauses: this.#pauses, proxyFor: proxy, idleMs }, host, auth);
  }
}

const ACCEPT = [MEDIA.ociIndex, MEDIA.dockerIndex, MEDIA.ociManifest, MEDIA.dockerManifest].join(
  ', ',
);

type Ask = { readonly path: string; readonly headers: { readonly [name: string]: string } };

/** One image in one registry and its mirrors, with the right to read it. */
class RegistryImage implements ImageSource {
  readonly from: string;
  readonly #reference: ImageReference;
  readonly #clients: readonly HostClient[];
  readonly #hasLogin: boolean;
  readonly #documents = new Map<string, Uint8Array>();

  constructor(reference: ImageReference, clients: readonly HostClient[], hasLogin: boolean) {
    this.from = reference.host;
    this.#reference = reference;
    this.#clients = clients;
    this.#hasLogin = hasLogin;
  }
  /** The digest that the reference stands for now. The cheapest question: registries do not count it. */
  async digest(signal: AbortSignal): Promise<string> {
    const { digest, tag, path } = this.#reference;
    const what = { path: `${path}/manifests/${digest || tag}`, headers: { accept: ACCEPT } };
    const { answer } = await this.#ask('HEAD', what, resolvers, signal);
    answer.resume();
    const told = answer.headers['docker-content-digest'];
    if (typeof told === 'string' && isDigest(told)) return digest || told;
    return (await this.resolve(signal)).digest;
  }
  /** What the reference stands for now, with the document itself kept for `document`. */
  async resolve(signal: AbortSignal): Promise<Descriptor> {
    const { digest, tag, path } = this.#reference;
    const what = { path: `${path}/manifests/${digest || tag}`, headers: { accept: ACCEPT } };
    const may = digest === '' ? resolvers : pullers;
    const { answer, url } = await this.#ask('GET', what, may, signal);
    const bytes = await wholeBody(url, answer);
    const found = sha256(bytes);
    if (digest !== '' && found !== digest) {
      throw new ImageError(
        'IMAGE_INVALID',
        `${this.from} gave other bytes for ${digest} than its digest says`,
      );
    }
    this.#documents.set(found, bytes);
    const mediaType = (answer.headers['content-type'] ?? '').split(';')[0]!.trim();
    const known = mediaType.endsWith('+json') ? mediaType : '';
    return { mediaType: known, digest: found, size: bytes.length };
  }
  /** What it is built for: linux/amd64, ... */
  async platforms(signal: AbortSignal): Promise<readonly string[]> {
    const root = await this.resolve(signal);
    const bytes = await this.document(root, signal);
    const names: string[] = [];
    if (isIndex(mediaTypeOf(root, bytes))) {
      for (const { platform } of parseIndex(bytes))
        if (platform && platform.os !== 'unknown')
          names.push(`${platform.os}/${platform.architecture}`);
    } else {
      const { config } = parseManifest(bytes);
      const { os, architecture } = parseConfig(await this.document(config, signal));
      if (architecture !== '') names.push(`${os}/${architecture}`);
    }
    return [...new Set(names)].sort();
  }
  async document(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
    const { digest, mediaType } = descriptor;
    const known = this.#documents.get(digest);
    if (known) return known;
    const kind = ACCEPT.includes(mediaType) && mediaType !== '' ? 'manifests' : 'blobs';
    const path = `${this.#reference.path}/${kind}/${digest}`;
    const what = { path, headers: { accept: `${ACCEPT}, */*` } };
    const { answer, url } = await this.#ask('GET', what, pullers, signal);
    return wholeBody(url, answer);
  }
  async blob(descriptor: Descriptor, offset: number, signal: AbortSignal): Promise<BlobStream> {
    const path = `${this.#reference.path}/blobs/${descriptor.digest}`;
    const headers: Ask['headers'] = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const { answer, url } = await this.#ask('GET', { path, headers }, pullers, signal);
    const resumed = answer.statusCode === 206;
    return { offset: resumed ? offset : 0, bytes: bodyOf(url, answer) };
  }

  /** Asks one address after the other. What the registry itself says counts before a mirror's word. */
  async #ask(
    method: 'GET' | 'HEAD',
    ask: Ask,
    may: (host: RegistryHost) => boolean,
    signal: AbortSignal,
  ): Promise<{ readonly answer: IncomingMessage; readonly url: URL }> {
    const { host: namespace, path } = this.#reference;
    let last: unknown;
    for (const client of this.#clients.filter(({ host }) => may(host))) {
      try {
        const scope = `repository:${path}:pull`;
        const answer = await client.ask({ method, ...ask, namespace, scope, signal });
        if (answer instanceof IncomingMessage) return { answer, url: client.host.base };
        last = this.#refusal(answer);
      } catch (error) {
        signal.throwIfAborted();
        last = error;
      }
    }
    throw last;
  }
  #refusal({ status, text, waitMs }: Refusal): ImageError {
    const { host, path, tag, digest } = this.#reference;
    const image = `${host}/${path}${digest ? `@${digest}` : `:${tag}`}`;
    if (status === 404) {
      return new ImageError('IMAGE_NOT_FOUND', `${image} is not in the registry ${host}`);
    }
    if (status === 401 || status === 403) {
      const why = this.#hasLogin
        ? 'its login is refused, or may not read it'
        : 'it is not there, or needs a login (swarm registry login)';
      return new ImageError('IMAGE_AUTH', `the registry ${host} does not give ${image}: ${why}`);
    }
    const wait = waitMs === undefined ? '' : `, and says to wait ${Math.ceil(waitMs / 1_000)} s`;
    const why =
      status === 429 ? `it was asked too often${wait}` : `it answers ${status} ${brief(text)}`;
    return new ImageError('PULL_FAILED', `can't pull ${image}: ${why.trim()}`, true);
  }
}

function resolvers(host: RegistryHost): boolean {
  return host.resolves;
}
function pullers(host: RegistryHost): boolean {
  return host.pulls;
}

function brief(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 200);
}
