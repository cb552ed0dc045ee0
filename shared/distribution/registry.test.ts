import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';
import { SystemClock } from '../clock.ts';
import { type BuiltImage, buildImage } from './image.fixture.ts';
import { parseReference } from './reference.ts';
import { Registry } from './registry.ts';
import type { RegistryAuth } from './source.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
const never = new AbortController().signal;

const NO_FILES = { list: () => [], read: () => undefined };

async function serve(answer: Answer): Promise<{ server: Server; host: string }> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, host: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

describe('a registry', () => {
  const clock = new SystemClock();
  const image: BuiltImage = buildImage({ layers: [[{ name: 'a', content: 'layer' }]] });
  const layer = image.layers[0]!;
  let first: { server: Server; host: string };
  let second: { server: Server; host: string };
  let registry: Registry;
  let answer: Answer;
  let storage: Answer;
  let seen: { path: string; authorization: string | undefined; range: string | undefined }[];

  before(async () => {
    first = await serve((request, response) => {
      const { authorization, range } = request.headers;
      seen.push({ path: request.url ?? '', authorization, range });
      answer(request, response);
    });
    second = await serve((request, response) => storage(request, response));
  });
  after(() => {
    first.server.close();
    second.server.close();
  });
  beforeEach(() => {
    registry = new Registry({ clock, files: NO_FILES, env: {} });
    seen = [];
    answer = (_request, response) => response.writeHead(404).end('{}');
    storage = (_request, response) => response.writeHead(404).end();
  });

  function source(auth?: RegistryAuth, tail = ':1') {
    return registry.image(parseReference(`${first.host}/some/app${tail}`), auth);
  }
  function giveManifest(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': image.manifest.mediaType });
    response.end(image.manifest.bytes);
  }
  async function bytesOf(bytes: AsyncIterable<Uint8Array>): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const part of bytes) parts.push(part);
    return Buffer.concat(parts);
  }

  it('says which manifest a tag stands for', async () => {
    answer = (_request, response) => giveManifest(response);
    const root = await source().resolve(never);
    assert.equal(root.digest, image.manifest.digest);
    assert.equal(seen[0]!.path, '/v2/some/app/manifests/1');
  });
  it('says what an image is built for, of one platform or of several', async () => {
    answer = ({ url = '' }, response) =>
      url.endsWith(image.config.digest)
        ? response.writeHead(200).end(image.config.bytes)
        : giveManifest(response);
    assert.deepEqual(await source().platforms(never), ['linux/amd64']);
    const manifests = ['arm64', 'amd64', 'amd64', 'unknown'].map((architecture, at) => ({
      mediaType: image.manifest.mediaType,
      digest: `sha256:${`${at}`.repeat(64)}`,
      size: 1,
      platform: { os: architecture === 'unknown' ? 'unknown' : 'linux', architecture },
    }));
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    answer = (_request, response) =>
      response
        .writeHead(200, { 'content-type': mediaType })
        .end(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
    assert.deepEqual(await source().platforms(never), ['linux/amd64', 'linux/arm64']);
  });
  it('gets a token where it asks for one, with the credentials sent to the token server', async () => {
    answer = (request, response) => {
      const url = new URL(request.url ?? '', `http://${first.host}`);
      if (url.pathname === '/token') {
        response.end(JSON.stringify({ token: `for ${url.searchParams.get('scope')}` }));
      } else if (request.headers.authorization?.startsWith('Bearer ')) giveManifest(response);
      else {
        const challenge = `Bearer realm="http://${first.host}/token",service="s",scope="read it"`;
        response.writeHead(401, { 'www-authenticate': challenge }).end();
      }
    };
    await source({ username: 'u', password: 'p' }).resolve(never);
    const [, token, again] = seen;
    assert.equal(token!.path, '/token?service=s&scope=read+it');
    assert.equal(token!.authorization, `Basic ${Buffer.from('u:p').toString('base64')}`);
    assert.equal(again!.authorization, 'Bearer for read it');
  });
  it('gets the credentials themselves where it asks for these, and only then', async () => {
    answer = (request, response) => {
      if (request.headers.authorization) giveManifest(response);
      else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    };
    await source({ username: 'u', password: 'p' }).resolve(never);
    assert.deepEqual(
      seen.map(({ authorization }) => authorization !== undefined),
      [false, true],
    );
  });
  it('that wants a login nobody has is said so', async () => {
    answer = (_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    };
    await assert.rejects(source().resolve(never), { code: 'IMAGE_AUTH', temporary: false });
  });
  it('never sees its credentials go on to where it redirects', async () => {
    let carried: string | undefined = 'nothing came';
    storage = (request, response) => {
      carried = request.headers.authorization;
      response.end(layer.bytes);
    };
    answer = (request, response) => {
      if (!request.headers.authorization) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else response.writeHead(307, { location: `http://${second.host}/signed` }).end();
    };
    const stream = await source({ username: 'u', password: 'p' }).blob(layer, 0, never);
    assert.deepEqual(await bytesOf(stream.bytes), layer.bytes);
    assert.equal(carried, undefined);
  });
  it('is not followed to a server without TLS that is not on loopback', async () => {
    answer = (_request, response) => {
      response.writeHead(307, { location: 'http://storage.example/x' }).end();
    };
    await assert.rejects(source().blob(layer, 0, never), /without TLS/);
  });
  it('is asked for the rest of a blob, and may give all of it', async () => {
    answer = (request, response) => {
      if (request.headers.range) response.writeHead(206).end(layer.bytes.subarray(3));
      else response.end(layer.bytes);
    };
    const rest = await source().blob(layer, 3, never);
    assert.equal(rest.offset, 3);
    assert.deepEqual(await bytesOf(rest.bytes), layer.bytes.subarray(3));
    assert.equal(seen[0]!.range, 'bytes=3-');
    answer = (_request, response) => response.end(layer.bytes);
    const whole = await source().blob(layer, 3, never);
    assert.equal(whole.offset, 0);
    await bytesOf(whole.bytes);
  });
  it('that is asked too much is asked again when it says', async () => {
    let count = 0;
    answer = (_request, response) => {
      if (count++ === 0) response.writeHead(429, { 'retry-after': '0' }).end();
      else giveManifest(response);
    };
    await source().resolve(never);
    assert.equal(count, 2);
  });
  it('that says to wait for an hour is not waited for', async () => {
    answer = (_request, response) => response.writeHead(429, { 'retry-after': '3600' }).end();
    await assert.rejects(source().resolve(never), { code: 'PULL_FAILED', temporary: true });
  });
  it('that is too busy for a while is not asked again before', async () => {
    answer = (_request, response) => response.writeHead(429, { 'retry-after': '3600' }).end();
    await assert.rejects(source().resolve(never), /asked too often, and says to wait 3600 s/);
    const asked = seen.length;
    await assert.rejects(source().resolve(never), { code: 'PULL_FAILED', temporary: true });
    assert.equal(seen.length, asked);
  });
  it('that hangs, before it answers or in the midst of it, counts as gone', async () => {
    const impatient = new Registry({ clock, files: NO_FILES, env: {}, idleMs: 50 });
    const image = impatient.image(parseReference(`${first.host}/some/app:1`), undefined);
    answer = () => undefined;
    await assert.rejects(image.resolve(never), /can't reach 127.*it sent nothing for 0.05 s/);
    answer = (_request, response) => void response.writeHead(200).write('some');
    const stream = await image.blob(layer, 0, never);
    await assert.rejects(bytesOf(stream.bytes), {
      code: 'PULL_FAILED',
      temporary: true,
      message: /it sent nothing for 0.05 s/,
    });
    first.server.closeAllConnections();
  });
  it('has mirrors, which are asked before it and without its credentials', async () => {
    const text = `server = "http://${first.host}"\n[host."http://${second.host}"]`;
    const files = {
      list: () => [],
      read: (path: string) => (path.endsWith('.toml') ? Buffer.from(text) : undefined),
    };
    const mirrored = new Registry({ clock, files, env: {} });
    const image = mirrored.image(parseReference(`${first.host}/some/app:1`), {
      username: 'u',
      password: 'p',
    });
    const asked: (string | undefined)[] = [];
    storage = (request, response) => {
      asked.push(request.url, request.headers.authorization);
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    };
    answer = (_request, response) => giveManifest(response);
    await image.resolve(never);
    assert.deepEqual(asked, [
      `/v2/some/app/manifests/1?ns=${encodeURIComponent(first.host)}`,
      undefined,
    ]);
    storage = (_request, response) => giveManifest(response);
    seen = [];
    await image.resolve(never);
    assert.equal(seen.length, 0);
  });
  it('without the image says so', async () => {
    await assert.rejects(source().resolve(never), {
      code: 'IMAGE_NOT_FOUND',
      message: `${first.host}/some/app:1 is not in the registry ${first.host}`,
    });
  });
  it('that gives something else for a digest is not believed', async () => {
    answer = (_request, response) => giveManifest(response);
    const tail = `@sha256:${'0'.repeat(64)}`;
    await assert.rejects(source(undefined, tail).resolve(never), { code: 'IMAGE_INVALID' });
  });
});
