import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { packPlace } from './pack.ts';
import { encodeHeader, padding, type TarEntry } from './tar-header.ts';
import { Tree } from './tree.ts';
import { Unpacker, type UnpackOptions } from './unpack.ts';

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), 'files-'));
  mkdirSync(join(place, 'in'));
  mkdirSync(join(place, 'out'));
});
afterEach(() => rmSync(place, { recursive: true, force: true }));

const LONG = `${'long-'.repeat(30)}name`;

function make(): void {
  const top = join(place, 'in', 'top');
  mkdirSync(join(top, 'deep', 'er'), { recursive: true });
  writeFileSync(join(top, 'file'), 'text\n');
  chmodSync(join(top, 'file'), 0o751);
  writeFileSync(join(top, 'deep', LONG), 'x'.repeat(100_000));
  writeFileSync(join(top, 'deep', 'empty'), '');
  symlinkSync('deep/empty', join(top, 'link'));
}
function packed(path: string, name: string): Buffer {
  const found = new Tree(join(place, 'in')).locate(path, false)!;
  try {
    return Buffer.concat([...packPlace(found, name)]);
  } finally {
    found.close();
  }
}
function unpack(archive: Uint8Array, more: Partial<UnpackOptions> = {}, step = 777): void {
  const options = { root: join(place, 'out'), directory: '/', keepOwner: false };
  const unpacker = new Unpacker({ ...options, rename: (name) => name, ...more });
  try {
    for (let at = 0; at < archive.length; at += step)
      unpacker.write(archive.subarray(at, at + step));
    unpacker.end();
  } finally {
    unpacker.abort();
  }
}
function archive(...entries: (Partial<TarEntry> & { name: string; text?: string })[]): Buffer {
  const parts = entries.flatMap(({ text = '', ...entry }) => {
    const base = { kind: 'file', mode: 0o644, uid: 0, gid: 0, modifiedMs: 0, link: '' } as const;
    const size = Buffer.byteLength(text);
    return [encodeHeader({ ...base, size, ...entry }), Buffer.from(text), padding(size)];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}
const out = (...names: string[]): string => join(place, 'out', ...names);

test('a tree comes out as it went in, whatever the pieces that it comes in', () => {
  make();
  unpack(packed('top', 'copy'));
  assert.equal(readFileSync(out('copy', 'file'), 'utf8'), 'text\n');
  assert.equal(lstatSync(out('copy', 'file')).mode & 0o777, 0o751);
  assert.equal(readFileSync(out('copy', 'deep', LONG)).length, 100_000);
  assert.equal(lstatSync(out('copy', 'deep', 'empty')).size, 0);
  assert.equal(readlinkSync(out('copy', 'link')), 'deep/empty');
  assert.ok(existsSync(out('copy', 'deep', 'er')));
});

test('an archive is what tar itself reads and writes', () => {
  make();
  writeFileSync(join(place, 'a.tar'), packed('top', 'top'));
  execFileSync('tar', ['-xf', join(place, 'a.tar'), '-C', out()]);
  assert.equal(readFileSync(out('top', 'deep', LONG)).length, 100_000);
  rmSync(out('top'), { recursive: true });
  const tar = execFileSync('tar', ['-cf', '-', '-C', join(place, 'in'), 'top'], {
    maxBuffer: 1 << 20,
  });
  unpack(tar);
  assert.equal(readFileSync(out('top', 'deep', LONG)).length, 100_000);
  assert.equal(readlinkSync(out('top', 'link')), 'deep/empty');
});

test('an empty name stands for what is in a directory', () => {
  make();
  unpack(packed('top', ''));
  assert.deepEqual(readdirSync(out()).sort(), ['deep', 'file', 'link']);
});

test('a name with .. is refused, one that begins at the root begins in the target', () => {
  assert.throws(() => unpack(archive({ name: '../evil', text: 'x' })), { code: 'PRECONDITION' });
  assert.throws(() => unpack(archive({ name: 'a/../../evil', text: 'x' })));
  unpack(archive({ name: '/etc/passwd', text: 'mine' }));
  assert.equal(readFileSync(out('etc', 'passwd'), 'utf8'), 'mine');
  assert.ok(!existsSync(join(place, 'evil')));
});

test('a link can lead nobody out, neither one of the archive nor one that was there', () => {
  writeFileSync(join(place, 'victim'), 'safe');
  symlinkSync(place, out('there'));
  assert.throws(() => unpack(archive({ name: 'there/victim', text: 'bad' })));
  const way = { name: 'way', kind: 'link', link: place } as const;
  assert.throws(() => unpack(archive(way, { name: 'way/victim', text: 'bad' })));
  const up = { name: 'up', kind: 'link', link: '../../..' } as const;
  unpack(archive(up, { name: 'up/victim', text: 'bad' }));
  assert.equal(readFileSync(join(place, 'victim'), 'utf8'), 'safe');
});

test('links that lead out of a copy are left out where that is asked for', () => {
  const leftOut: string[] = [];
  const entries = archive(
    { name: 'top/', kind: 'directory', mode: 0o755 },
    { name: 'top/good', kind: 'link', link: 'file' },
    { name: 'top/absolute', kind: 'link', link: '/etc/passwd' },
    { name: 'top/up', kind: 'link', link: '..' },
    { name: 'top/sibling', kind: 'link', link: '../other' },
  );
  unpack(entries, { linksInside: { top: 'top', leftOut: (name) => leftOut.push(name) } });
  assert.deepEqual(leftOut, ['top/absolute', 'top/up', 'top/sibling']);
  assert.deepEqual(readdirSync(out('top')), ['good']);
});

test('a file does not take the place of a directory, nor a directory that of a file', () => {
  mkdirSync(out('directory'));
  writeFileSync(out('file'), 'old');
  assert.throws(() => unpack(archive({ name: 'directory', text: 'x' })), { code: 'PRECONDITION' });
  assert.throws(() => unpack(archive({ name: 'file/', kind: 'directory' })), {
    code: 'PRECONDITION',
  });
  unpack(archive({ name: 'file', text: 'new' }));
  assert.equal(readFileSync(out('file'), 'utf8'), 'new');
});

test('an archive that is cut off or damaged is no copy', () => {
  const whole = archive({ name: 'file', text: 'x'.repeat(5_000) });
  assert.throws(() => unpack(whole.subarray(0, 2_000)), /cut off/);
  const damaged = Buffer.from(whole);
  damaged[0] = 0x7a;
  assert.throws(() => unpack(damaged), /damaged/);
  assert.throws(() => unpack(new Uint8Array(0)), /cut off/);
});
