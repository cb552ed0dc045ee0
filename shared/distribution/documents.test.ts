import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chainIds, choosePlatform, type Descriptor, parseManifest, sha256 } from './documents.ts';
import { imageName, parseReference } from './reference.ts';

function manifest(architecture: string, variant = '', os = 'linux'): Descriptor {
  const digest = sha256(`${os}/${architecture}/${variant}`);
  return { mediaType: '', digest, size: 1, platform: { os, architecture, variant } };
}

describe('an image reference', () => {
  const cases: readonly [string, string][] = [
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27'],
    ['user/app', 'docker.io/user/app:latest'],
    ['index.docker.io/user/app:2', 'docker.io/user/app:2'],
    ['localhost/app', 'localhost/app:latest'],
    ['registry.example:5000/a/b:v1', 'registry.example:5000/a/b:v1'],
    [`app:1@sha256:${'a'.repeat(64)}`, `docker.io/library/app@sha256:${'a'.repeat(64)}`],
  ];
  for (const [text, name] of cases) {
    it(`${text} is ${name}`, () => assert.equal(imageName(parseReference(text)), name));
  }
  for (const text of ['App', 'a//b', 'a:b:c', 'a@sha256:1', '../etc', '']) {
    it(`"${text}" is none`, () => {
      assert.throws(() => parseReference(text), { code: 'INVALID_SPEC' });
    });
  }
});

describe('an index', () => {
  it('gives the manifest for this machine, not an attestation', () => {
    const all = [manifest('unknown', '', 'unknown'), manifest('arm64', 'v8'), manifest('amd64')];
    assert.equal(choosePlatform(all, 'amd64'), all[2]);
    assert.equal(choosePlatform(all, 'arm64'), all[1]);
  });
  it('gives what this machine also runs where there is nothing better', () => {
    const all = [manifest('386'), manifest('arm', 'v6'), manifest('arm', 'v7')];
    assert.equal(choosePlatform(all, 'amd64'), all[0]);
    assert.equal(choosePlatform(all, 'arm64'), all[2]);
  });
  it('says what it has instead', () => {
    assert.throws(() => choosePlatform([manifest('s390x')], 'amd64'), {
      code: 'IMAGE_PLATFORM',
      message: 'the image is for linux/s390x, and this node is linux/amd64',
    });
  });
});

describe('a manifest', () => {
  const bytes = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));
  it('of the old form, without layers, or with too many of them is refused', () => {
    const layer = { digest: sha256('x'), size: 1 };
    const many = { config: layer, layers: Array.from({ length: 1_001 }, () => layer) };
    for (const value of [{ schemaVersion: 1 }, {}, { config: layer }, many, []]) {
      assert.throws(() => parseManifest(bytes(value)), { code: 'IMAGE_INVALID' });
    }
    assert.throws(() => parseManifest(Buffer.from('{')), { code: 'IMAGE_INVALID' });
  });
});

it('the name of a snapshot stands for its layer and all below', () => {
  const [a, b] = [sha256('a'), sha256('b')];
  assert.deepEqual(chainIds([a, b]), [a, sha256(`${a} ${b}`)]);
});

it('an image of more layers than can be mounted is refused before anything of it is fetched', () => {
  const digest = `sha256:${'0'.repeat(64)}`;
  const layers = Array.from({ length: 1_000 }, () => ({ digest, size: 1 }));
  const bytes = Buffer.from(JSON.stringify({ schemaVersion: 2, config: layers[0], layers }));
  const message = 'the image has 1000 layers, and overlayfs takes no more than 500';
  assert.throws(() => parseManifest(bytes), { code: 'IMAGE_INVALID', message });
});
