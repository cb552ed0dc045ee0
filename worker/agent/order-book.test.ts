import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { Assignments } from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import { SystemIo } from '../system-io.ts';
import { LocalStore } from './local-store.ts';
import { OrderBook } from './order-book.ts';

describe('the book of orders', () => {
  const dir = mkdtempSync(join(tmpdir(), 'swarm-orders-'));
  after(() => rmSync(dir, { recursive: true }));
  const log: Log = { debug() {}, info() {}, warn() {}, error() {}, child: () => log };
  const store = new LocalStore(new SystemIo(new SystemClock()), dir, log);
  const open = (): OrderBook => {
    const book = new OrderBook({ store, clusterId: 'c', bootId: 'b' });
    book.load([]);
    return book;
  };
  const rows = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ id: `s${n}/net`, serviceId: `s${n}` }));
  const give = (book: OrderBook, index: number, count: number): void => {
    const to = { epoch: 1, term: 1, index };
    const init = { complete: true, to, digest: Uint8Array.of(index), networkServices: rows(count) };
    const applied = book.take(Assignments.create(init));
    assert.ok(applied.ok);
    book.save(applied.networkChanged);
  };

  it('has the rows of the network again after a restart', () => {
    give(open(), 5, 3);
    const again = open();
    assert.equal(again.network.index, 5);
    assert.equal(again.network.networkServices?.length, 3);
    assert.deepEqual([...again.digest], [5]);
  });
  it('asks for everything where many rows were not written down before the end', () => {
    const book = open();
    give(book, 6, LIMITS.networkRowsSavedAtOnceMax + 1);
    assert.equal(book.networkWaits, true);
    assert.deepEqual([...open().digest], []);
    book.saveNetwork();
    const again = open();
    assert.deepEqual([...again.digest], [6]);
    assert.equal(again.network.networkServices?.length, LIMITS.networkRowsSavedAtOnceMax + 1);
  });
});
