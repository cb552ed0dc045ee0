import type { Clock } from '../clock.ts';
import { type HttpRequest, send, wholeBody } from './http.ts';
import { ImageError } from './image-error.ts';
import type { RegistryAuth } from './source.ts';

/** Where nothing is said of its life, and never longer than a token is good for. */
const TOKEN_MS = 60_000;
const MARGIN_MS = 5_000;
/** With this name the password is an identity token, as credential helpers give them. */
const IDENTITY_TOKEN = '<token>';

/** How a registry asks to be spoken to, from `WWW-Authenticate`. */
export interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  readonly parameters: ReadonlyMap<string, string>;
}

/** The first challenge of a header that is understood here. */
export function parseChallenge(header: string): Challenge | undefined {
  const match = /\b(bearer|basic)\b\s*(.*)$/i.exec(header);
  if (!match) return undefined;
  const parameters = new Map<string, string>();
  for (const [, key, quoted, bare] of match[2]!.matchAll(/(\w+)=(?:"([^"]*)"|([^",\s]+))/g)) {
    parameters.set(key!.toLowerCase(), quoted ?? bare ?? '');
  }
  return { scheme: match[1]!.toLowerCase() as Challenge['scheme'], parameters };
}

function basicHeader(auth: RegistryAuth): string {
  return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
}

export interface TokenSourceDeps {
  readonly clock: Clock;
  readonly auth: RegistryAuth | undefined;
  /** False for an address to which no credentials may go, as one without TLS. */
  readonly mayUse: (url: URL) => boolean;
  /** How the token server is reached. */
  readonly connectionTo: (url: URL) => Pick<HttpRequest, 'trust' | 'proxy' | 'idleMs'>;
}

/** The right to speak with one registry, as its token server gives it. */
export class TokenSource {
  readonly #deps: TokenSourceDeps;
  #token: { readonly header: string; readonly untilMs: number } | undefined;

  constructor(deps: TokenSourceDeps) {
    this.#deps = deps;
  }
  /** The header for the next request; none yet: the registry has to ask first. */
  get header(): string | undefined {
    const token = this.#token;
    return token && token.untilMs > this.#deps.clock.monotonicMs() ? token.header : undefined;
  }
  /** Does what the registry asks for. False: there is nothing more that could be given. */
  async answer(challenge: Challenge, scope: string, signal: AbortSignal): Promise<boolean> {
    const { auth } = this.#deps;
    this.#token = undefined;
    if (challenge.scheme === 'basic') {
      if (!auth || auth.username === IDENTITY_TOKEN) return false;
      this.#token = { header: basicHeader(auth), untilMs: Number.POSITIVE_INFINITY };
      return true;
    }
    const realm = challenge.parameters.get('realm') ?? '';
    if (!URL.canParse(realm)) return false;
    const url = new URL(realm);
    if (!this.#deps.mayUse(url)) {
      throw new ImageError(
        'IMAGE_AUTH',
        `the registry sends its users to ${url.host} without TLS: nothing was sent there`,
      );
    }
    const wanted = new URLSearchParams();
    const service = challenge.parameters.get('service');
    if (service !== undefined) wanted.set('service', service);
    wanted.set('scope', challenge.parameters.get('scope') ?? scope);
    const refresh = auth?.username === IDENTITY_TOKEN;
    if (!refresh && (await this.#get(url, wanted, signal))) return true;
    return auth !== undefined && this.#post(url, wanted, auth, signal);
  }
  async #get(realm: URL, wanted: URLSearchParams, signal: AbortSignal): Promise<boolean> {
    const url = new URL(realm);
    for (const [key, value] of wanted) url.searchParams.set(key, value);
    const { auth, connectionTo } = this.#deps;
    const headers: HttpRequest['headers'] = auth ? { authorization: basicHeader(auth) } : {};
    return this.#ask({ method: 'GET', url, headers, ...connectionTo(url), signal });
  }
  /** Token servers that know only OAuth2 have no other way in. */
  #post(
    url: URL,
    wanted: URLSearchParams,
    { username, password }: RegistryAuth,
    signal: AbortSignal,
  ): Promise<boolean> {
    const form = new URLSearchParams(wanted);
    form.set('client_id', 'swarm');
    if (username === IDENTITY_TOKEN) {
      form.set('grant_type', 'refresh_token');
      form.set('refresh_token', password);
    } else {
      form.set('grant_type', 'password');
      form.set('username', username);
      form.set('password', password);
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = form.toString();
    const connection = this.#deps.connectionTo(url);
    return this.#ask({ method: 'POST', url, headers, ...connection, body, signal });
  }
  async #ask(request: HttpRequest): Promise<boolean> {
    const answer = await send(request);
    const body = await wholeBody(request.url, answer);
    if ((answer.statusCode ?? 0) >= 500) {
      const text = `the token server ${request.url.host} answers ${answer.statusCode}`;
      throw new ImageError('PULL_FAILED', text, true);
    }
    if (answer.statusCode !== 200) return false;
    this.#take(body);
    return this.#token !== undefined;
  }
  #take(body: Buffer): void {
    const nowMs = this.#deps.clock.monotonicMs();
    try {
      const value = JSON.parse(body.toString('utf8')) as {
        token?: string;
        access_token?: string;
        expires_in?: number;
      };
      const token = value.token || value.access_token;
      if (!token) return;
      const lifeMs = value.expires_in ? value.expires_in * 1_000 : TOKEN_MS;
      const untilMs = nowMs + Math.max(1_000, lifeMs - MARGIN_MS);
      this.#token = { header: `Bearer ${token}`, untilMs };
    } catch {
      this.#token = undefined;
    }
  }
}
