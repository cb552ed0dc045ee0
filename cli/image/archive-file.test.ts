import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { archiveFile } from './archive-file.ts';

const place = mkdtempSync(join(tmpdir(), 'archive-file-'));
const never = new AbortController().signal;
const ARCHIVE = Buffer.from('an archive');

const before = process.env['TMPDIR'];
process.env['TMPDIR'] = join(place, 'tmp');
mkdirSync(join(place, 'tmp'));
after(() => {
  if (before === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = before;
  rmSync(place, { recursive: true });
});

const left = (): readonly string[] => readdirSync(join(place, 'tmp'));

test('a file that can be read in any order is taken as it is', async () => {
  const path = join(place, 'plain.tar');
  writeFileSync(path, ARCHIVE);
  const file = await archiveFile(path, never);
  assert.equal(file.path, path);
  await file.remove();
  assert.ok(existsSync(path), "nobody deletes a user's file");
});

test('what is compressed or piped in lies in a file until it is removed', async () => {
  const packed = join(place, 'packed.tar.gz');
  writeFileSync(packed, gzipSync(ARCHIVE));
  for (const from of [packed, Readable.from([ARCHIVE]), Readable.from([gzipSync(ARCHIVE)])]) {
    const file = await archiveFile(from, never);
    assert.deepEqual(readFileSync(file.path), ARCHIVE);
    await file.remove();
    assert.deepEqual(left(), []);
  }
});

test('what is damaged, or interrupted, leaves nothing', async () => {
  const cut = gzipSync(ARCHIVE).subarray(0, 15);
  await assert.rejects(archiveFile(Readable.from([cut]), never), /compression is damaged/);
  const interrupt = new AbortController();
  const endless = new Readable({ read: () => interrupt.abort() });
  await assert.rejects(archiveFile(endless, interrupt.signal), { name: 'AbortError' });
  assert.deepEqual(left(), []);
});
