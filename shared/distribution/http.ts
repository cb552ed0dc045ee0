import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { LIMITS } from '../limits.ts';
import { ImageError } from './image-error.ts';

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers: { readonly [name: string]: string };
  /** PEM; with these alone the server is believed. Undefined: the system's. */
  readonly ca: string | undefined;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** One request, no redirect followed. Rejects with ImageError PULL_FAILED where no answer came. */
export function send(request: HttpRequest): Promise<IncomingMessage> {
  const { method, url, headers, ca, body, signal } = request;
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    const start = secure ? httpsRequest : httpRequest;
    const options = { method, headers, signal, timeout: LIMITS.registryIdleMs };
    const call = start(url, ca !== undefined && secure ? { ...options, ca } : options, resolve);
    call.on('timeout', () => call.destroy(new Error('it sent nothing for too long')));
    call.on('error', (error) => {
      reject(signal.aborted ? signal.reason : unreachable(url, error));
    });
    call.end(body);
  });
}

/** The body as it comes. A connection that breaks off is a temporary ImageError. */
export async function* bodyOf(url: URL, answer: IncomingMessage): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of answer) yield chunk as Uint8Array;
  } catch (error) {
    throw unreachable(url, error as Error);
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

function unreachable(url: URL, error: Error & { readonly code?: string }): ImageError {
  const why = error.message || error.code || 'the connection broke off';
  return new ImageError('PULL_FAILED', `can't reach ${url.host}: ${why}`, true, error);
}
