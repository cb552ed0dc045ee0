import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { checkLevel } from './level-check.ts';
import { hasLock, openLevel } from './open-level.ts';

describe('the check of the files of a LevelDB', () => {
  let root = '';
  let path = '';
  let copies = 0;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'swarm-level-'));
    path = join(root, 'db');
    // Each opening makes a table of the log before it; some values do not get smaller by packing.
    for (let round = 0; round < 3; round++) {
      const engine = await openLevel(path);
      for (let n = 0; n < 300; n++) {
        const key = Buffer.from(`key ${round} ${n}`);
        const value = Buffer.alloc(50, `${(n * 7_919) % 1_009} `);
        await engine.write([{ key, value }], false);
      }
      await engine.close();
    }
  });
  after(() => rm(root, { recursive: true, force: true }));

  test('what LevelDB wrote passes, and so does a folder where one is to be made', async () => {
    await checkLevel(path);
    await checkLevel(join(root, 'nothing'));
    const names = await readdir(path);
    assert.ok(names.filter((name) => name.endsWith('.ldb')).length >= 2, names.join(' '));
  });

  test('one flipped bit is found wherever it is', async () => {
    for (const name of await readdir(path)) {
      if (!/\.(log|ldb)$|^MANIFEST|^CURRENT/.test(name)) continue;
      const bytes = await readFile(join(path, name));
      const work = await copy();
      for (let at = 0; at < bytes.length; at += bytes.length > 2_000 ? 97 : 1) {
        // Bytes of the footer that mean nothing fill it up to its length.
        if (name.endsWith('.ldb') && at >= bytes.length - 42 && at < bytes.length - 8) continue;
        const changed = Buffer.from(bytes);
        changed[at]! ^= 1 << (at % 8);
        await writeFile(join(work, name), changed);
        await assert.rejects(checkLevel(work), { code: 'DAMAGED' }, `${name} ${at}`);
      }
    }
  });

  test('a file that is missing is found', async () => {
    for (const name of await readdir(path)) {
      if (!/\.(log|ldb)$|^MANIFEST|^CURRENT/.test(name)) continue;
      const work = await copy();
      await rm(join(work, name));
      await assert.rejects(checkLevel(work), { code: 'DAMAGED' }, name);
    }
  });

  test('files that LevelDB does not use are not looked at', async () => {
    const work = await copy();
    await writeFile(join(work, '999998.ldb'), 'a table that a crash left half written');
    await writeFile(join(work, '000001.log'), 'a log that is in tables');
    await checkLevel(work);
  });

  test('a database in use is not judged', async () => {
    const engine = await openLevel(path);
    await assert.rejects(openLevel(path), /another swarm daemon uses this directory/);
    await engine.close();
  });

  async function copy(): Promise<string> {
    const to = join(root, `copy-${copies++}`);
    await cp(path, to, { recursive: true });
    return to;
  }
});

test('a lock on a file of the same number, on another file system, is not ours', () => {
  const locks = [
    '1: POSIX  ADVISORY  WRITE 812 07:02:13 0 EOF',
    '2: FLOCK  ADVISORY  WRITE 813 08:01:13 0 EOF',
    '3: POSIX  ADVISORY  WRITE 814 08:01:131 0 EOF',
    '',
  ].join('\n');
  assert.equal(hasLock(locks, { dev: 0x0801, ino: 13 }), false);
  assert.equal(hasLock(locks, { dev: 0x0702, ino: 13 }), true);
  assert.equal(
    hasLock('1: POSIX  ADVISORY  WRITE 9 fe:100:7 0 EOF', { dev: 0x10fe00, ino: 7 }),
    true,
  );
});
