import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { registryHosts } from './registry-hosts.ts';

function hostsOf(host: string, given: { readonly [path: string]: string } = {}) {
  const files = {
    list: (path: string) =>
      Object.keys(given).flatMap((each) =>
        each.startsWith(`${path}/`) ? [each.slice(path.length + 1)] : [],
      ),
    read: (path: string) => (given[path] === undefined ? undefined : Buffer.from(given[path])),
  };
  return registryHosts(files, ['/c', '/d'], host);
}
const bases = (host: string, files = {}) => hostsOf(host, files).map(({ base }) => base.href);

describe('the addresses of a registry', () => {
  it('are its own with TLS, but on loopback', () => {
    assert.deepEqual(bases('docker.io'), ['https://registry-1.docker.io/v2/']);
    assert.deepEqual(bases('r.example:5000'), ['https://r.example:5000/v2/']);
    assert.deepEqual(bases('127.0.0.1:5000'), ['http://127.0.0.1:5000/v2/']);
    assert.deepEqual(bases('[::1]:5000'), ['http://[::1]:5000/v2/']);
    assert.deepEqual(bases('localhost'), ['http://localhost/v2/']);
    assert.deepEqual(bases('127.evil.example'), ['https://127.evil.example/v2/']);
  });
  it('begin with its mirrors, and only it gets credentials', () => {
    const text = `[host."https://m1.example"]
capabilities = ["pull"]
[host."http://m2.example:81/proxy"]
[host."https://m3.example/whole/path"]
override_path = true`;
    const hosts = hostsOf('docker.io', { '/c/docker.io/hosts.toml': text });
    assert.deepEqual(
      hosts.map(({ base, resolves, isUpstream }) => [base.href, resolves, isUpstream]),
      [
        ['https://m1.example/v2/', false, false],
        ['http://m2.example:81/proxy/v2/', true, false],
        ['https://m3.example/whole/path/', true, false],
        ['https://registry-1.docker.io/v2/', true, true],
      ],
    );
  });
  it('may be without TLS where its operator listed it so', () => {
    const files = { '/c/r.example_5000_/hosts.toml': 'server = "http://r.example:5000"' };
    assert.deepEqual(bases('r.example:5000', files), ['http://r.example:5000/v2/']);
  });
  it('have one file for all that have none', () => {
    const files = { '/c/_default/hosts.toml': '[host."https://cache.example"]' };
    assert.deepEqual(bases('r.example', files), [
      'https://cache.example/v2/',
      'https://r.example/v2/',
    ]);
  });
  it('come with authorities, certificates and headers', () => {
    const files = {
      '/c/r.example/hosts.toml': `ca = "own.crt"
client = [["/abs/c.cert", "c.key"]]
[host."https://m.example"]
skip_verify = true
[host."https://m.example".header]
Authorization = ["Bearer x"]`,
      '/c/r.example/own.crt': 'CA',
      '/abs/c.cert': 'CERT',
      '/c/r.example/c.key': 'KEY',
    };
    const [mirror, upstream] = hostsOf('r.example', files);
    assert.deepEqual(mirror!.trust, { rejectUnauthorized: false });
    assert.deepEqual(mirror!.headers, { authorization: 'Bearer x' });
    assert.deepEqual(upstream!.trust, { ca: 'CA', cert: 'CERT', key: 'KEY' });
  });
  it('have what Docker keeps beside them', () => {
    const files = {
      '/d/r.example/ca.crt': 'A',
      '/d/r.example/x.cert': 'C',
      '/d/r.example/x.key': 'K',
    };
    assert.deepEqual(hostsOf('r.example', files)[0]!.trust, { ca: 'A', cert: 'C', key: 'K' });
  });
  it('are refused with the file when it is wrong', () => {
    const wrong = (text: string) => () => hostsOf('r.example', { '/c/r.example/hosts.toml': text });
    const code = 'PULL_FAILED';
    assert.throws(wrong('nonsense'), { code, message: /\/c\/r.example\/hosts.toml: line 1/ });
    assert.throws(wrong('ca = "none.crt"'), { code, message: /none.crt is not there/ });
    assert.throws(wrong('server = "ftp://x"'), { code, message: /neither http nor https/ });
  });
});
