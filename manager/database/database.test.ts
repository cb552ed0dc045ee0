import assert from 'node:assert/strict';
import { appendFile, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { DATABASE_FILES, type DbOp } from './database.ts';
import { TestDirectory } from './directory.fixture.ts';
import { systemDisk } from './disk.ts';
import { requiredBytes } from './free-space.ts';
import { openLevel } from './level/open-level.ts';

const key = (text: string): Uint8Array => Buffer.from(text);
const put = (name: string, value: string, secret = false): DbOp => {
  return { key: key(name), value: Buffer.from(value), secret };
};
const ALL = { gte: key('a'), lt: key('z') };

describe('the database', () => {
  const directory = new TestDirectory();
  beforeEach(() => directory.make());
  afterEach(() => directory.remove());

  test('what was written is there after it is opened again', async () => {
    const first = await directory.open();
    await first.write([put('a', '1'), put('b', '2', true)], { sync: true });
    await first.passed();
    await first.close();
    const second = await directory.open();
    const rows = [];
    for await (const row of second.iterate(ALL))
      rows.push(`${Buffer.from(row.value)} ${row.secret}`);
    await second.close();
    assert.deepEqual(rows, ['1 false', '2 true']);
  });

  test('a snapshot does not see later writes', async () => {
    const db = await directory.open();
    await db.write([put('a', '1')], { sync: false });
    const snapshot = db.snapshot();
    await db.write([put('a', '2'), put('b', '2')], { sync: false });
    const rows = [];
    for await (const row of snapshot.iterate(ALL)) rows.push(Buffer.from(row.value).toString());
    assert.deepEqual(rows, ['1']);
    assert.equal(Buffer.from(snapshot.getSync(key('a'))!).toString(), '1');
    await snapshot.close();
    await db.close();
  });

  test('a secret is nowhere on disk in the clear', async () => {
    const db = await directory.open();
    await db.write([put('a', 'open sesame', true), put('b', 'for all to see')], { sync: true });
    await db.close();
    const folder = join(directory.path, DATABASE_FILES.database);
    const files = await Promise.all((await readdir(folder)).map((f) => readFile(join(folder, f))));
    const bytes = Buffer.concat(files).toString('latin1');
    assert.ok(bytes.includes('for all to see'));
    assert.ok(!bytes.includes('sesame'));
  });

  test('the data key can be read by its owner alone', async () => {
    const { mode } = await stat(join(directory.path, DATABASE_FILES.dataKey));
    assert.equal(mode & 0o777, 0o600);
  });

  test('a second opening is refused with the reason', async () => {
    const db = await directory.open();
    await assert.rejects(directory.open(), (error: Error) => {
      assert.match(error.message, /another swarm daemon uses this directory/);
      return true;
    });
    await db.close();
  });

  test('after the first failed write nothing is written, whatever the disk says', async () => {
    let fails = false;
    const db = await directory.open({
      openEngine: async (path) => {
        const engine = await openLevel(path);
        const write: typeof engine.write = (ops, sync) =>
          fails ? Promise.reject(new Error('no space left on device')) : engine.write(ops, sync);
        return {
          write,
          get: (k) => engine.get(k),
          getSync: (k, s) => engine.getSync(k, s),
          iterate: (r, s) => engine.iterate(r, s),
          snapshot: () => engine.snapshot(),
          close: () => engine.close(),
        };
      },
    });
    fails = true;
    await assert.rejects(db.write([put('a', '1')], { sync: true }), /no space left/);
    fails = false;
    await assert.rejects(db.write([put('b', '1')], { sync: true }), /no space left/);
    assert.equal(directory.poison.length, 1);
    await db.close();
  });

  test('dropped bytes in the text log of LevelDB are damage, found before it opens', async () => {
    const db = await directory.open();
    await db.close();
    const path = join(directory.path, DATABASE_FILES.database, 'LOG');
    await appendFile(path, '000003.log: dropping 4096 bytes; Corruption: checksum mismatch\n');
    let opened = false;
    const openEngine: typeof openLevel = (p) => {
      opened = true;
      return openLevel(p);
    };
    await assert.rejects(directory.open({ openEngine }), { code: 'DAMAGED' });
    assert.equal(opened, false);
  });

  test('the marker stands until the owner has checked what is inside', async () => {
    const marker = join(directory.path, DATABASE_FILES.marker);
    const db = await directory.open();
    assert.equal(await systemDisk.exists(marker), true);
    await db.passed();
    assert.equal(await systemDisk.exists(marker), false);
    await db.close();
  });

  test('it is read-only while the disk has too little room', async () => {
    let freeBytes = 10 * 2 ** 30;
    const disk = { ...systemDisk, space: async () => ({ freeBytes, totalBytes: 100 * 2 ** 30 }) };
    const db = await directory.open({ disk });
    assert.equal(db.readOnly, false);
    freeBytes = 1 << 20;
    directory.clock.advance(5_000);
    await new Promise(setImmediate);
    assert.equal(db.readOnly, true);
    freeBytes = 10 * 2 ** 30;
    directory.clock.advance(5_000);
    await new Promise(setImmediate);
    assert.equal(db.readOnly, false);
    await db.close();
  });

  test('a small disk needs a tenth free, a big one no more than the limit', () => {
    assert.equal(requiredBytes(100 << 20), 10 << 20);
    assert.equal(requiredBytes(2 ** 40), 256 << 20);
  });
});
