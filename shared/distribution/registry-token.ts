import type { Clock } from '../clock.ts';
import { send, wholeBody } from './http.ts';
import { ImageError } from './image-error.ts';
import type { RegistryAuth } from './source.ts';

/** Where nothing is said of its life, and never longer than a token is good for. */
const TOKEN_MS = 60_000;
const MARGIN_MS = 5_000;

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

export function basicHeader(auth: RegistryAuth): string {
  return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
}

/** Tokens for one image, as its registry's token server gives them. */
export class TokenSource {
  readonly #clock: Clock;
  readonly #auth: RegistryAuth | undefined;
  readonly #ca: string | undefined;
  readonly #mayUse: (url: URL) => boolean;
  #token: { readonly header: string; readonly untilMs: number } | undefined;

  constructor(deps: {
    readonly clock: Clock;
    readonly auth: RegistryAuth | undefined;
    readonly ca: string | undefined;
    /** False for an address to which no credentials may go, as one without TLS. */
    readonly mayUse: (url: URL) => boolean;
  }) {
    this.#clock = deps.clock;
    this.#auth = deps.auth;
    this.#ca = deps.ca;
    this.#mayUse = deps.mayUse;
  }
  /** The header for the next request; none yet: the registry has to ask first. */
  get header(): string | undefined {
    const token = this.#token;
    return token && token.untilMs > this.#clock.monotonicMs() ? token.header : undefined;
  }
  /** Does what the registry asks for. False: there is nothing more that could be given. */
  async answer(challenge: Challenge, scope: string, signal: AbortSignal): Promise<boolean> {
    if (challenge.scheme === 'basic') {
      if (!this.#auth) return false;
      this.#token = { header: basicHeader(this.#auth), untilMs: Number.POSITIVE_INFINITY };
      return true;
    }
    const realm = challenge.parameters.get('realm') ?? '';
    if (!URL.canParse(realm)) return false;
    const url = new URL(realm);
    if (!this.#mayUse(url)) {
      throw new ImageError(
        'IMAGE_AUTH',
        `the registry sends its users to ${url.host} without TLS: nothing was sent there`,
      );
    }
    const service = challenge.parameters.get('service');
    if (service !== undefined) url.searchParams.set('service', service);
    url.searchParams.set('scope', challenge.parameters.get('scope') ?? scope);
    const headers: { [name: string]: string } = this.#auth
      ? { authorization: basicHeader(this.#auth) }
      : {};
    const answer = await send({ method: 'GET', url, headers, ca: this.#ca, signal });
    const body = await wholeBody(url, answer);
    if (answer.statusCode !== 200) return false;
    this.#take(body);
    return this.#token !== undefined;
  }
  #take(body: Buffer): void {
    const nowMs = this.#clock.monotonicMs();
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
