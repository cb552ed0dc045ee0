import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { LIMITS } from '../../../shared/limits.ts';
import { EMPTY_CONF_STATE, EMPTY_HARD_STATE, type Entry } from '../core/index.ts';
import { LogStore } from './log-store.ts';

const ENTRY_BYTES = 1 << 20;
const KEPT = LIMITS.raftLogMemoryBytesMax / ENTRY_BYTES;
const COUNT = 3 * KEPT;

const entry = (index: number): Entry => {
  return { index, term: 1, type: 0, data: Buffer.alloc(ENTRY_BYTES, index) };
};
const applied = (index: number) => {
  return { index, term: 1, generation: 1, confState: EMPTY_CONF_STATE };
};

describe('the log in memory', () => {
  let store: LogStore;
  let disk: Map<number, Entry>;
  let arrived = 0;
  let read = 0;

  beforeEach(() => {
    disk = new Map();
    arrived = 0;
    read = 0;
    const content = {
      hardState: EMPTY_HARD_STATE,
      boundary: { index: 0, term: 0, chain: 0 },
      applied: applied(0),
      entries: [],
      chains: [],
      markers: [],
    };
    store = new LogStore(content, () => 'pending', {
      read: async (from, bytes) => {
        read++;
        const found: Entry[] = [];
        for (let at = from, left = bytes; left > 0 && disk.has(at); at++, left -= ENTRY_BYTES) {
          found.push(disk.get(at)!);
        }
        return found;
      },
      arrived: () => arrived++,
      failed: (error) => assert.fail(`${error}`),
    });
    for (let index = 1; index <= COUNT; index++) {
      store.append([entry(index)]);
      disk.set(index, entry(index));
    }
  });

  const turn = (): Promise<void> => new Promise(setImmediate);
  const answered = (lo: number, hi: number): number[] | string => {
    const entries = store.entries(lo, hi, 4 * ENTRY_BYTES);
    if (typeof entries === 'string') return entries;
    for (const { index, data } of entries) assert.equal(data[0], index, 'its data');
    return entries.map(({ index }) => index);
  };

  test('keeps everything that is not applied on disk', () => {
    assert.ok(store.hotBytes > COUNT * ENTRY_BYTES);
    assert.deepEqual(answered(1, 3), [1, 2]);
  });

  test('lets go of the oldest when they are applied, and reads them again when asked', async () => {
    store.appliedDurable(applied(COUNT));
    assert.ok(store.hotBytes <= LIMITS.raftLogMemoryBytesMax);
    assert.ok(store.bytes > COUNT * ENTRY_BYTES, 'compaction goes by all of it');
    assert.equal(store.term(1), 1);
    assert.equal(answered(1, 9), 'pending');
    assert.equal(answered(1, 9), 'pending');
    await turn();
    assert.deepEqual([read, arrived], [1, 1]);
    assert.deepEqual(answered(1, 9), [1, 2]);
    assert.deepEqual(answered(2, 9), [2]);
    assert.deepEqual(answered(COUNT - 1, COUNT + 1), [COUNT - 1, COUNT]);
  });

  test('an answer from the disk ends where the memory begins', async () => {
    store.appliedDurable(applied(COUNT));
    const firstKept = COUNT - KEPT + 2;
    assert.equal(answered(firstKept - 1, COUNT + 1), 'pending');
    await turn();
    assert.deepEqual(answered(firstKept - 1, COUNT + 1), [firstKept - 1]);
    assert.equal(answered(firstKept, firstKept + 1)[0], firstKept);
  });

  test('what was compacted meanwhile is not waited for', async () => {
    store.appliedDurable(applied(COUNT));
    assert.equal(answered(1, 3), 'pending');
    store.compact(COUNT - 1, 1_000);
    for (let index = 1; index < COUNT; index++) disk.delete(index);
    await turn();
    assert.equal(answered(1, 3), 'compacted');
    assert.deepEqual(answered(COUNT, COUNT + 1), [COUNT]);
    assert.ok(store.hotBytes < 2 * ENTRY_BYTES && store.hotBytes === store.bytes);
  });

  test('a snapshot makes what was read before worthless', async () => {
    store.appliedDurable(applied(COUNT));
    assert.equal(answered(1, 3), 'pending');
    store.install(applied(1_000));
    await turn();
    assert.equal(arrived, 0);
    assert.equal(answered(1, 3), 'compacted');
    assert.deepEqual([store.hotBytes, store.bytes], [0, 0]);
  });
});
