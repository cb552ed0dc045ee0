import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { NetdHello } from '../../../proto/index.ts';
import { silentLog } from '../../../shared/log.ts';
import { rowsOf, temporaryDirectory } from './netd.fixture.ts';
import { RowsFile } from './rows-file.ts';

const hello = NetdHello.create({ publishAddress: '127.0.0.1' });
const saved = (index: number) => ({ hello, rows: rowsOf({ index, published: 1, backends: [] }) });

test('rows are read back as they were saved last, from a file that only its owner reads', async (t) => {
  const path = join(temporaryDirectory(t), 'netd.rows');
  const file = new RowsFile(path, silentLog);
  for (let index = 1; index <= 20; index++) file.save(saved(index));
  await file.settled();
  const read = await new RowsFile(path, silentLog).read();
  assert.equal(read?.rows.index, 20);
  assert.equal(read?.rows.services[0]?.serviceName, 'hello');
  assert.equal(read?.hello.publishAddress, '127.0.0.1');
  assert.equal(statSync(path).mode & 0o777, 0o600);
});

test('a file with any byte changed, and one cut anywhere, reads as none', async (t) => {
  const path = join(temporaryDirectory(t), 'netd.rows');
  const file = new RowsFile(path, silentLog);
  file.save(saved(1));
  await file.settled();
  const good = readFileSync(path);
  for (let at = 0; at < good.length; at++) {
    const bad = Buffer.from(good);
    bad[at] = bad[at]! ^ 1;
    writeFileSync(path, bad);
    assert.equal(await file.read(), undefined, `byte ${at} changed`);
    writeFileSync(path, good.subarray(0, at));
    assert.equal(await file.read(), undefined, `cut at ${at}`);
  }
});

test('no file reads as none, and a removed one stays away', async (t) => {
  const path = join(temporaryDirectory(t), 'netd.rows');
  const file = new RowsFile(path, silentLog);
  assert.equal(await file.read(), undefined);
  file.save(saved(1));
  file.clear();
  await file.settled();
  assert.equal(await file.read(), undefined);
});
