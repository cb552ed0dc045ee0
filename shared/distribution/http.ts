import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import { LIMITS } from '../limits.ts';
import { ImageError } from './image-error.ts';

/** Whom TLS believes, and who we are; all PEM. Nothing given: the system's authorities, nobody. */
export interface TlsTrust {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly rejectUnauthorized?: boolean;
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers: { readonly [name: string]: string };
  readonly trust: TlsTrust;
  /** Spoken to in the place of the server. */
  readonly proxy: URL | undefined;
  readonly body?: string;
  readonly signal: AbortSignal;
  /** A server that sends nothing for this long counts as gone. */
  readonly idleMs: number;
}

/** One request, no redirect followed. Rejects with ImageError PULL_FAILED where no answer came. */
export async function send(request: HttpRequest): Promise<IncomingMessage> {
  const { url, proxy } = request;
  if (proxy === undefined) return exchange(request, {});
  if (url.protocol === 'https:') {
    const tunnel = await openTunnel(request, proxy);
    const servername = url.hostname;
    const secured = tlsConnect({ socket: tunnel, servername, ...request.trust });
    return exchange(request, { createConnection: () => secured });
  }
  const headers = { ...request.headers, host: url.host, ...proxyAuthorization(proxy) };
  return exchange({ ...request, headers }, { ...addressOf(proxy), path: url.href });
}

function exchange(request: HttpRequest, more: RequestOptions): Promise<IncomingMessage> {
  const { method, url, headers, trust, body, signal, idleMs: timeout } = request;
  return new Promise((resolve, reject) => {
    const secure = (more.protocol ?? url.protocol) === 'https:';
    const start = secure ? httpsRequest : httpRequest;
    const options = { method, headers, signal, timeout, ...trust, ...more };
    const call = start(url, options, (answer) => {
      silences.set(answer, () => silent);
      resolve(answer);
    });
    let silent: Error | undefined;
    onSilence(call, timeout, (error) => {
      silent = error;
    });
    call.on('error', (error) => {
      reject(signal.aborted ? signal.reason : unreachable(url, silent ?? error));
    });
    call.end(body);
  });
}

/** Why an answer broke off, where it was we who gave it up. */
const silences = new WeakMap<IncomingMessage, () => Error | undefined>();

function onSilence(call: ClientRequest, idleMs: number, tell: (error: Error) => void): void {
  call.on('timeout', () => {
    const error = new Error(`it sent nothing for ${idleMs / 1_000} s`);
    tell(error);
    call.destroy(error);
  });
}

/** A way through the proxy to the server, which TLS is then spoken with. */
function openTunnel(request: HttpRequest, proxy: URL): Promise<Duplex> {
  const { url, signal, idleMs: timeout } = request;
  const target = `${url.hostname}:${url.port || 443}`;
  return new Promise((resolve, reject) => {
    const start = proxy.protocol === 'https:' ? httpsRequest : httpRequest;
    const headers = { host: target, ...proxyAuthorization(proxy) };
    const options = { method: 'CONNECT', path: target, headers, signal, agent: false as const };
    const call = start({ ...options, ...addressOf(proxy), timeout });
    onSilence(call, timeout, () => undefined);
    call.on('error', (error) => reject(signal.aborted ? signal.reason : unreachable(proxy, error)));
    call.on('response', (answer) => {
      answer.resume();
      reject(refusedBy(proxy, answer));
    });
    call.on('connect', (answer, socket) => {
      if (answer.statusCode === 200) resolve(socket);
      else {
        socket.destroy();
        reject(refusedBy(proxy, answer));
      }
    });
    call.end();
  });
}

function addressOf(proxy: URL): { hostname: string; port: string; protocol: string } {
  const { hostname, port, protocol } = proxy;
  return {
    hostname: hostname.replaceAll(/[[\]]/g, ''),
    port: port || (protocol === 'https:' ? '443' : '80'),
    protocol,
  };
}

function proxyAuthorization({ username, password }: URL): { [name: string]: string } {
  if (username === '') return {};
  const both = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(both).toString('base64')}` };
}

function refusedBy(proxy: URL, answer: IncomingMessage): ImageError {
  const text = `the proxy ${proxy.host} does not let it through: it answers ${answer.statusCode}`;
  return new ImageError('PULL_FAILED', text, true);
}

/** The body as it comes. A connection that breaks off is a temporary ImageError. */
export async function* bodyOf(url: URL, answer: IncomingMessage): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of answer) yield chunk as Uint8Array;
  } catch (error) {
    throw brokenOff(url, silences.get(answer)?.() ?? (error as Error));
  }
}

/** A small body as a whole; more than the limit is refused. */
export async function wholeBody(url: URL, answer: IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of bodyOf(url, answer)) {
    size += chunk.length;
    if (size > LIMITS.imageDocumentBytesMax) {
      answer.destroy();
      throw new ImageError('IMAGE_INVALID', `${url.host} answers with too large a document`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Its answer had begun. */
function brokenOff(url: URL, error: Error & { readonly code?: string }): ImageError {
  const isPlain = error.message === 'aborted' || error.code === 'ECONNRESET';
  const why = isPlain ? '' : `: ${error.message || error.code}`;
  const text = `the answer of ${url.host} broke off${why}`;
  return new ImageError('PULL_FAILED', text, true, error);
}

function unreachable(url: URL, error: Error & { readonly code?: string }): ImageError {
  const why = error.message || error.code || 'the connection broke off';
  return new ImageError('PULL_FAILED', `can't reach ${url.host}: ${why}`, true, error);
}
