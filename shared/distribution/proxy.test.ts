import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { bodyOf, send } from './http.ts';
import { ImageError } from './image-error.ts';
import { proxyFor } from './proxy.ts';

const never = new AbortController().signal;

function proxyOf(url: string, env: { readonly [name: string]: string }): string | undefined {
  return proxyFor(new URL(url), env)?.host;
}

describe('a proxy', () => {
  const both = { HTTPS_PROXY: 'http://s.example:3128', http_proxy: 'p.example:8080' };

  it('is the one that the environment names for the kind of address', () => {
    assert.equal(proxyOf('https://r.example/', both), 's.example:3128');
    assert.equal(proxyOf('http://r.example/', both), 'p.example:8080');
    assert.equal(proxyOf('https://r.example/', {}), undefined);
  });
  it('is never used for loopback', () => {
    for (const host of ['127.0.0.1:5000', 'localhost', '[::1]'])
      assert.equal(proxyOf(`http://${host}/`, both), undefined, host);
  });
  it('is not used for what NO_PROXY lists', () => {
    const env = { ...both, NO_PROXY: '.corp, exact.example:8443 10.0.0.0/8,fd00::/8,192.168.1.1' };
    const without = [
      'a.corp',
      'corp',
      'exact.example:8443',
      '10.1.2.3',
      '[fd00::1]',
      '192.168.1.1',
    ];
    for (const host of without) assert.equal(proxyOf(`https://${host}/`, env), undefined, host);
    const through = ['acorp', 'exact.example', '11.1.2.3', '[fe00::1]', '192.168.1.10'];
    for (const host of through)
      assert.equal(proxyOf(`https://${host}/`, env), 's.example:3128', host);
    assert.equal(proxyOf('https://r.example/', { ...both, NO_PROXY: '*' }), undefined);
  });
});

describe('a request through a proxy', () => {
  let proxy: Server;
  let address: string;
  const seen: string[] = [];

  before(async () => {
    proxy = createServer((request, response) => {
      seen.push(`${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim());
      response.end('through');
    });
    proxy.on('connect', (request: IncomingMessage, socket) => {
      seen.push(`CONNECT ${request.url}`);
      if (request.url!.startsWith('refused')) return void socket.end('HTTP/1.1 403 No\r\n\r\n');
      const { port } = proxy.address() as AddressInfo;
      // Anything that is no TLS: the tunnel was made, and that is what is asked here.
      const other = connect(port, '127.0.0.1', () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
      other.pipe(socket).pipe(other);
      for (const each of [other, socket]) each.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    address = `127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  });
  after(() => proxy.close());

  function ask(url: string, user = '') {
    const [to, via] = [new URL(url), new URL(`http://${user}${address}`)];
    return send({
      method: 'GET',
      url: to,
      headers: {},
      trust: {},
      proxy: via,
      signal: never,
      idleMs: 5_000,
    });
  }

  it('names the whole address, with the name and password of the proxy', async () => {
    const answer = await ask('http://r.example:81/v2/', 'me:s%20x@');
    const parts: Uint8Array[] = [];
    for await (const part of bodyOf(new URL('http://r.example'), answer)) parts.push(part);
    assert.equal(Buffer.concat(parts).toString(), 'through');
    const basic = Buffer.from('me:s x').toString('base64');
    assert.equal(seen.at(-1), `http://r.example:81/v2/ Basic ${basic}`);
  });
  it('with TLS goes through a tunnel of its own', async () => {
    await assert.rejects(ask('https://r.example/v2/'), { code: 'PULL_FAILED', temporary: true });
    assert.equal(seen.at(-1), 'CONNECT r.example:443');
  });
  it('that the proxy refuses says so', async () => {
    await assert.rejects(
      ask('https://refused.example/'),
      (error) => error instanceof ImageError && /the proxy 127.*answers 403/.test(error.message),
    );
  });
});
