import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { sha256 } from '../../shared/distribution/documents.ts';
import { BlobStore } from './blob-store.ts';

const bytes = Buffer.from('the bytes of one part of an image');
const blob = { digest: sha256(bytes), size: bytes.length };
const nothing = (): void => undefined;

async function* pieces(...parts: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* parts;
}
const from = (all: Uint8Array) => async (offset: number) => ({
  offset,
  bytes: pieces(all.subarray(offset)),
});

describe('parts of images on a disk', () => {
  let directory: string;
  let store: BlobStore;
  const files = (): string[] => readdirSync(join(directory, 'sha256'));

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'swarm-blobs-'));
    store = new BlobStore(directory);
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  it('are read back, from anywhere, and for this user alone', async () => {
    await store.write(blob, from(bytes), nothing);
    const parts: Uint8Array[] = [];
    for await (const part of store.read(blob.digest, 4)) parts.push(part);
    assert.deepEqual(Buffer.concat(parts), bytes.subarray(4));
    const { mode } = statSync(join(directory, 'sha256', blob.digest.slice(7)));
    assert.equal(mode & 0o777, 0o600);
  });
  it('go on where a write broke off', async () => {
    const broken = async () => ({
      offset: 0,
      bytes: (async function* () {
        yield bytes.subarray(0, 10);
        throw new Error('the line is cut');
      })(),
    });
    await assert.rejects(store.write(blob, broken, nothing), /the line is cut/);
    assert.equal(await store.has(blob.digest), false);
    const asked: number[] = [];
    const rest = (offset: number) => {
      asked.push(offset);
      return from(bytes)(offset);
    };
    let counted = 0;
    await store.write(blob, rest, (count) => {
      counted += count;
    });
    assert.deepEqual(asked, [10]);
    assert.equal(counted, bytes.length);
    assert.equal(await store.has(blob.digest), true);
  });
  it('are refused, and leave nothing, when they are not what they should be', async () => {
    const other = Buffer.from(bytes).fill('x');
    await assert.rejects(store.write(blob, from(other), nothing), { code: 'INVALID_ARGUMENT' });
    assert.deepEqual(files(), []);
    const longer = Buffer.concat([bytes, bytes]);
    await assert.rejects(store.write(blob, from(longer), nothing), /longer than was said/);
    await assert.rejects(store.write(blob, from(bytes.subarray(3)), nothing), { code: 'DROPPED' });
    const wrong = { digest: 'sha256:../../etc/passwd', size: 1 };
    await assert.rejects(store.write(wrong, from(bytes), nothing), { code: 'INVALID_ARGUMENT' });
  });
  it('that would not fit are refused before anything is written', async () => {
    const huge = { ...blob, size: Number.MAX_SAFE_INTEGER };
    await assert.rejects(store.write(huge, from(bytes), nothing), { code: 'READ_ONLY' });
    assert.deepEqual(files(), []);
  });
  it('are whole also where the disk takes only a beginning at a time', async (t) => {
    const file = await open(tmpdir(), 'r');
    const handle = Object.getPrototypeOf(file);
    await file.close();
    const write: (...args: unknown[]) => unknown = handle.write;
    const short = t.mock.method(handle, 'write', function (this: unknown, ...args: unknown[]) {
      const [piece, from, length, at] = args as [Uint8Array, number, number, number];
      return write.call(this, piece, from, Math.ceil(length / 2), at);
    });
    await store.write(blob, from(bytes), nothing);
    assert.ok(short.mock.callCount() > 1);
    assert.deepEqual(Buffer.from(await store.document(blob)), bytes);
  });
  it('that two want at once are fetched once', async () => {
    let asked = 0;
    const counted = (offset: number) => {
      asked++;
      return from(bytes)(offset);
    };
    const write = () => store.write(blob, counted, nothing);
    await Promise.all([write(), write(), write()]);
    assert.equal(asked, 1);
  });
  it('that nobody needs go after a while; what was just asked for stays', async () => {
    await store.write(blob, from(bytes), nothing);
    writeFileSync(join(directory, 'sha256', `${'0'.repeat(64)}.part`), 'half');
    const nowMs = statSync(join(directory, 'sha256', blob.digest.slice(7))).mtimeMs;
    await store.sweep(() => true, nowMs + 1_000);
    assert.deepEqual(files(), [blob.digest.slice(7)]);
    assert.deepEqual(await store.missing([blob], nowMs + 60_000), []);
    await store.sweep(() => false, nowMs + 1_000);
    assert.equal(await store.has(blob.digest), true);
    await store.sweep(() => false, nowMs + 61_000);
    assert.equal(await store.has(blob.digest), false);
    assert.deepEqual(await store.missing([blob], nowMs), [blob]);
  });
});
