import type { IncomingMessage } from 'node:http';
import { type Clock, delay } from '../clock.ts';
import { LIMITS } from '../limits.ts';
import { type HttpRequest, send, wholeBody } from './http.ts';
import { ImageError } from './image-error.ts';
import { isLoopback, type RegistryHost } from './registry-hosts.ts';
import { parseChallenge, TokenSource } from './registry-token.ts';
import type { RegistryAuth } from './source.ts';

/** When a registry that was asked too often may be asked again; shared by all that ask it. */
export type Pauses = Map<string, number>;

export interface HostClientDeps {
  readonly clock: Clock;
  readonly proxyFor: (url: URL) => URL | undefined;
  readonly pauses: Pauses;
  readonly idleMs: number;
}

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD';
  /** Below `/v2/`. */
  readonly path: string;
  /** Of the images' own registry, for a host that is another one. */
  readonly namespace: string;
  readonly headers: { readonly [name: string]: string };
  /** What the right is asked for, where the registry does not say it itself. */
  readonly scope: string;
  readonly signal: AbortSignal;
}

/** Neither 200 nor 206, and nothing more can be done about it. */
export interface Refusal {
  readonly status: number;
  readonly text: string;
  /** What it says to wait; undefined: nothing. */
  readonly waitMs: number | undefined;
}

/** A registry that says to wait is waited for this long, and no longer. */
const WAIT_MAX_MS = 20_000;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** Speaks with one address of a registry: rights, redirects, and patience where it asks for that. */
export class HostClient {
  readonly host: RegistryHost;
  readonly #deps: HostClientDeps;
  readonly #tokens: TokenSource;

  /** `auth` is used for the registry itself alone: mirrors have their headers. */
  constructor(deps: HostClientDeps, host: RegistryHost, auth: RegistryAuth | undefined) {
    this.host = host;
    this.#deps = deps;
    this.#tokens = new TokenSource({
      clock: deps.clock,
      auth: host.isUpstream ? auth : undefined,
      mayUse: (url) => this.#mayUse(url),
      connectionTo: (url) => this.#connectionTo(url),
    });
  }
  /** Throws ImageError where it can't be reached; an answer that is no success is a `Refusal`. */
  async ask(request: RegistryRequest): Promise<IncomingMessage | Refusal> {
    const { base, isUpstream } = this.host;
    const url = new URL(request.path, base);
    if (!isUpstream) url.searchParams.set('ns', request.namespace);
    let asked = false;
    for (let retry = 0; ; retry++) {
      const patience = await this.#patience(request.signal);
      if (patience) return patience;
      const header = this.#tokens.header;
      const own = header === undefined ? {} : { authorization: header };
      const headers = { ...this.host.headers, ...request.headers, ...own };
      const answer = await this.#follow({ ...request, headers }, url);
      const status = answer.statusCode ?? 0;
      if (status === 200 || status === 206) return answer;
      const text = await wholeBody(url, answer).catch(() => Buffer.alloc(0));
      if (status === 401 && !asked) {
        asked = true;
        const challenge = parseChallenge(answer.headers['www-authenticate'] ?? '');
        if (challenge && (await this.#tokens.answer(challenge, request.scope, request.signal)))
          continue;
      }
      const refusal = { status, text: text.toString('utf8'), waitMs: this.#waitMs(answer) };
      const busy = status === 429 || status >= 500;
      if (!busy || retry >= LIMITS.registryRetriesMax) return refusal;
      this.#pause(refusal.waitMs ?? 1_000);
    }
  }

  /** Waits until it may be asked; a refusal where that is too long. */
  async #patience(signal: AbortSignal): Promise<Refusal | undefined> {
    const { clock, pauses } = this.#deps;
    const waitMs = (pauses.get(this.host.base.host) ?? 0) - clock.monotonicMs();
    if (waitMs <= 0) return undefined;
    if (waitMs > WAIT_MAX_MS) return { status: 429, text: '', waitMs };
    await Promise.race([delay(clock, waitMs), aborted(signal)]);
    signal.throwIfAborted();
    return undefined;
  }
  #pause(ms: number): void {
    const { clock, pauses } = this.#deps;
    const { host } = this.host.base;
    pauses.set(host, Math.max(pauses.get(host) ?? 0, clock.monotonicMs() + ms));
  }
  /** `Retry-After` in its two forms. */
  #waitMs(answer: IncomingMessage): number | undefined {
    const text = answer.headers['retry-after'];
    if (text === undefined) return undefined;
    const seconds = Number(text);
    if (Number.isFinite(seconds)) return Math.max(0, seconds) * 1_000;
    const at = Date.parse(text);
    return Number.isNaN(at) ? undefined : Math.max(0, at - this.#deps.clock.wallMs());
  }
  /** The right to read goes to the registry alone: storage behind it has signed addresses. */
  async #follow(request: RegistryRequest, start: URL): Promise<IncomingMessage> {
    const { method, signal } = request;
    let url = start;
    let headers = request.headers;
    for (let hops = 0; hops <= LIMITS.registryRedirectsMax; hops++) {
      const answer = await send({ method, url, headers, ...this.#connectionTo(url), signal });
      const location = answer.headers.location;
      if (!REDIRECTS.has(answer.statusCode ?? 0) || location === undefined) return answer;
      answer.resume();
      const next = new URL(location, url);
      if (!this.#mayUse(next)) {
        throw new ImageError(
          'PULL_FAILED',
          `${start.host} sends to ${next.host} without TLS: it was not followed`,
        );
      }
      if (next.origin !== url.origin) headers = withoutRights(headers, this.host);
      url = next;
    }
    throw new ImageError('PULL_FAILED', `${start.host} sends from one address to the next`);
  }
  /** Without TLS only to loopback, and to a registry that its operator listed so. */
  #mayUse(url: URL): boolean {
    const { base } = this.host;
    if (url.protocol === 'https:' || isLoopback(url.hostname)) return true;
    return url.protocol === 'http:' && base.protocol === 'http:' && url.host === base.host;
  }
  #connectionTo(url: URL): Pick<HttpRequest, 'trust' | 'proxy' | 'idleMs'> {
    const { proxyFor, idleMs } = this.#deps;
    const own = url.host === this.host.base.host;
    return { trust: own ? this.host.trust : {}, proxy: proxyFor(url), idleMs };
  }
}

function withoutRights(
  headers: RegistryRequest['headers'],
  host: RegistryHost,
): RegistryRequest['headers'] {
  const secret = new Set(['authorization', ...Object.keys(host.headers)]);
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !secret.has(name)));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
}
