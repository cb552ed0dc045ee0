import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { type Clock, delay } from '../clock.ts';
import { LIMITS } from '../limits.ts';
import { type Descriptor, MEDIA, sha256 } from './documents.ts';
import { bodyOf, send, wholeBody } from './http.ts';
import { ImageError } from './image-error.ts';
import type { ImageReference } from './reference.ts';
import { parseChallenge, TokenSource } from './registry-token.ts';
import type { BlobStream, ImageSource, RegistryAuth } from './source.ts';

export interface RegistryDeps {
  readonly clock: Clock;
  /** PEM of the authorities that are believed for this registry; undefined: the system's. */
  readonly caFor: (host: string) => string | undefined;
  /** Registries that are spoken to without TLS, besides those on loopback. */
  readonly plainHosts: ReadonlySet<string>;
}

/** Images of registries, by the distribution protocol. */
export class Registry {
  readonly #deps: RegistryDeps;
  constructor(deps: RegistryDeps) {
    this.#deps = deps;
  }
  image(reference: ImageReference, auth: RegistryAuth | undefined): RegistryImage {
    return new RegistryImage(this.#deps, reference, auth);
  }
}

const ACCEPT = [MEDIA.ociIndex, MEDIA.dockerIndex, MEDIA.ociManifest, MEDIA.dockerManifest].join(
  ', ',
);
/** A registry that is asked too often says how long to wait; at most this long is waited here. */
const RETRY_AFTER_MAX_MS = 20_000;

/** One image in one registry, with the right to read it. */
export class RegistryImage implements ImageSource {
  readonly from: string;
  readonly #deps: RegistryDeps;
  readonly #reference: ImageReference;
  readonly #base: URL;
  readonly #ca: string | undefined;
  readonly #tokens: TokenSource;
  readonly #documents = new Map<string, Uint8Array>();

  constructor(deps: RegistryDeps, reference: ImageReference, auth: RegistryAuth | undefined) {
    const { host, path } = reference;
    this.#deps = deps;
    this.#reference = reference;
    this.from = host;
    const endpoint = host === 'docker.io' ? 'registry-1.docker.io' : host;
    const plain = this.#mayBePlain(endpoint);
    this.#base = new URL(`${plain ? 'http' : 'https'}://${endpoint}/v2/${path}/`);
    this.#ca = deps.caFor(host);
    this.#tokens = new TokenSource({
      clock: deps.clock,
      auth,
      ca: this.#ca,
      mayUse: (url) => url.protocol === 'https:' || this.#mayBePlain(url.host),
    });
  }
  /** What the reference stands for now. */
  async resolve(signal: AbortSignal): Promise<Descriptor> {
    const { digest, tag } = this.#reference;
    const url = new URL(`manifests/${digest || tag}`, this.#base);
    const answer = await this.#get(url, { accept: ACCEPT }, signal);
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
  async document(descriptor: Descriptor, signal: AbortSignal): Promise<Uint8Array> {
    const { digest, mediaType } = descriptor;
    const known = this.#documents.get(digest);
    if (known) return known;
    const kind = ACCEPT.includes(mediaType) && mediaType !== '' ? 'manifests' : 'blobs';
    const url = new URL(`${kind}/${digest}`, this.#base);
    return wholeBody(url, await this.#get(url, { accept: `${ACCEPT}, */*` }, signal));
  }
  async blob(descriptor: Descriptor, offset: number, signal: AbortSignal): Promise<BlobStream> {
    const url = new URL(`blobs/${descriptor.digest}`, this.#base);
    const range: { [name: string]: string } = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const answer = await this.#get(url, range, signal);
    const resumed = answer.statusCode === 206;
    return { offset: resumed ? offset : 0, bytes: bodyOf(url, answer) };
  }

  async #get(
    url: URL,
    headers: { readonly [name: string]: string },
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    let asked = false;
    for (let retry = 0; ; retry++) {
      const header = this.#tokens.header;
      const own = header === undefined ? headers : { ...headers, authorization: header };
      const answer = await this.#follow(url, own, signal);
      const code = answer.statusCode ?? 0;
      if (code === 200 || code === 206) return answer;
      const text = (await wholeBody(url, answer).catch(() => Buffer.alloc(0))).toString('utf8');
      if (code === 401 && !asked) {
        asked = true;
        const challenge = parseChallenge(answer.headers['www-authenticate'] ?? '');
        const scope = `repository:${this.#reference.path}:pull`;
        if (challenge && (await this.#tokens.answer(challenge, scope, signal))) continue;
      }
      const waitMs = retryAfterMs(answer);
      const busy = code === 429 || code >= 500;
      if (!busy || retry >= LIMITS.registryRetriesMax || waitMs > RETRY_AFTER_MAX_MS) {
        throw this.#refusal(code, text);
      }
      await Promise.race([delay(this.#deps.clock, waitMs), aborted(signal)]);
      signal.throwIfAborted();
    }
  }
  /** The right to read goes to the registry alone: storage behind it has signed addresses. */
  async #follow(
    start: URL,
    headers: { readonly [name: string]: string },
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    let url = start;
    let sent = headers;
    for (let hops = 0; hops <= LIMITS.registryRedirectsMax; hops++) {
      const ca = url.host === start.host ? this.#ca : undefined;
      const answer = await send({ method: 'GET', url, headers: sent, ca, signal });
      const location = answer.headers.location;
      if (![301, 302, 303, 307, 308].includes(answer.statusCode ?? 0) || location === undefined) {
        return answer;
      }
      answer.resume();
      const next = new URL(location, url);
      if (next.protocol !== 'https:' && !this.#mayBePlain(next.host)) {
        throw new ImageError(
          'PULL_FAILED',
          `${this.from} sends to ${next.host} without TLS: it was not followed`,
        );
      }
      if (next.host !== url.host || next.protocol !== url.protocol) {
        const { authorization: _, ...rest } = sent;
        sent = rest;
      }
      url = next;
    }
    throw new ImageError('PULL_FAILED', `${this.from} sends from one address to the next`);
  }
  #mayBePlain(host: string): boolean {
    const name = host.replace(/:\d+$/, '').replaceAll(/[[\]]/g, '');
    const loopback =
      name === 'localhost' || name === '::1' || (isIP(name) === 4 && /^127\./.test(name));
    return loopback || this.#deps.plainHosts.has(host);
  }
  #refusal(code: number, text: string): ImageError {
    const { host, path, tag, digest } = this.#reference;
    const image = `${host}/${path}${digest ? `@${digest}` : `:${tag}`}`;
    if (code === 404) {
      return new ImageError('IMAGE_NOT_FOUND', `${image} is not in the registry ${host}`);
    }
    if (code === 401 || code === 403) {
      return new ImageError(
        'IMAGE_AUTH',
        `the registry ${host} does not give ${image} to this node: it is not there, or needs a login`,
      );
    }
    const why = code === 429 ? 'too much was asked of it' : `it answers ${code} ${brief(text)}`;
    return new ImageError('PULL_FAILED', `can't pull ${image}: ${why.trim()}`, true);
  }
}

function retryAfterMs(answer: IncomingMessage): number {
  const seconds = Number(answer.headers['retry-after'] ?? 1);
  return Number.isFinite(seconds) ? Math.max(0, seconds) * 1_000 : 1_000;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
}

function brief(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 200);
}
