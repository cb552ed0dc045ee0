import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BuiltImage } from '../../shared/distribution/image.fixture.ts';

/** What goes wrong with one image: nothing, or how its layers are answered. */
export interface Fault {
  /** Other bytes for layers. */
  readonly wrong?: true;
  /** The connection ends after the head of a layer. */
  readonly cut?: true;
  /** Layers stop after so many bytes until `release`. */
  readonly holdAfter?: number;
}

/** A registry on loopback that gives images as badly as it is told to. */
export class FaultyRegistry {
  readonly #images = new Map<string, { readonly image: BuiltImage; readonly fault: Fault }>();
  readonly #server: Server = createServer((request, response) => this.#answer(request, response));
  #held: (() => void)[] = [];

  static async start(): Promise<FaultyRegistry> {
    const registry = new FaultyRegistry();
    await new Promise<void>((resolve) => registry.#server.listen(0, '127.0.0.1', resolve));
    return registry;
  }
  /** Returns the image's reference. */
  add(name: string, image: BuiltImage, fault: Fault = {}): string {
    this.#images.set(name, { image, fault });
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}/${name}:1`;
  }
  /** Gives the rest of what it holds back. */
  release(): void {
    for (const give of this.#held) give();
    this.#held = [];
  }
  stop(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const [, name = '', digest] =
      /^\/v2\/(.+)\/(?:manifests|blobs)\/(.+)$/.exec(request.url ?? '') ?? [];
    const { image, fault } = this.#images.get(name) ?? {};
    const blobs = image ? [image.manifest, image.config, ...image.layers] : [];
    const blob = digest === '1' ? image?.manifest : blobs.find((each) => each.digest === digest);
    if (!image || !fault || !blob) return void response.writeHead(404).end();
    const isLayer = image.layers.includes(blob);
    const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const bytes =
      isLayer && fault.wrong ? Buffer.alloc(blob.size - from, 'x') : blob.bytes.subarray(from);
    const head = { 'content-type': blob.mediaType, 'content-length': bytes.length };
    response.writeHead(from > 0 ? 206 : 200, head);
    if (request.method === 'HEAD') return void response.end();
    if (isLayer && fault.cut) {
      response.flushHeaders();
      return void response.socket?.end();
    }
    const at = isLayer ? fault.holdAfter : undefined;
    if (at === undefined) return void response.end(bytes);
    response.write(bytes.subarray(0, at));
    this.#held.push(() => response.end(bytes.subarray(at)));
  }
}
