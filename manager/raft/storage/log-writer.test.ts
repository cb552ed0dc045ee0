import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { ManualClock } from '../../../shared/clock.ts';
import { SeededRandom } from '../../../shared/random.ts';
import { type Database, openLevel, systemDisk } from '../../database/index.ts';
import {
  EMPTY_CONF_STATE,
  type Entry,
  LOCAL_APPEND,
  type Message,
  MessageType,
  message,
  NO_BYTES,
} from '../core/index.ts';
import { createFirstMember } from './bootstrap.ts';
import { inspect, open } from './log.fixture.ts';
import { LogStore } from './log-store.ts';
import { LogWriter } from './log-writer.ts';
import { openLog } from './open-log.ts';
import type { VoteFile } from './vote-file.ts';

const entry = (index: number, term: number, text = `${index}`): Entry => {
  return { index, term, type: 0, data: Buffer.from(text) };
};
/** What the core asks to be made durable; its answer says how far the log is then. */
const append = (term: number, vote: number, commit: number, ...entries: Entry[]): Message => {
  const index = entries.at(-1)?.index ?? 0;
  const answer = message({ type: MessageType.StorageAppendResp, from: LOCAL_APPEND, to: 1, index });
  return {
    ...message({ type: MessageType.StorageAppend, to: LOCAL_APPEND, term, vote, commit, entries }),
    responses: [answer],
  };
};

describe('the log writer', () => {
  const root = { path: '' };
  let directory = '';
  let db: Database;
  let store: LogStore;
  let writer: LogWriter;
  let votes: VoteFile;
  let writes = 0;
  const delivered: number[] = [];
  /** The rows of a snapshot are in the tables. */
  let loaded: Promise<void>;

  beforeEach(async () => {
    root.path = await mkdtemp(join(tmpdir(), 'swarm-writer-'));
    directory = join(root.path, 'raft');
    const deps = { disk: systemDisk, random: new SeededRandom(1), openEngine: openLevel };
    const member = { clusterId: 'c', epoch: 0, nodeId: 'n', raftId: 1, address: 'a:1' };
    await createFirstMember(directory, member, [], deps);
    delivered.length = 0;
    loaded = Promise.resolve();
    await start();
  });
  afterEach(async () => {
    await db.close();
    await rm(root.path, { recursive: true, force: true });
  });

  async function start(): Promise<void> {
    db = await open(directory);
    const opened = await openLog(directory, db, systemDisk);
    await db.passed();
    votes = opened.votes;
    store = new LogStore(opened, () => 'pending');
    const write = db.write.bind(db);
    writes = 0;
    db.write = (ops, options) => {
      writes++;
      return write(ops, options);
    };
    writer = new LogWriter({
      clock: new ManualClock(),
      db,
      votes,
      store,
      hardState: opened.hardState,
      afterSends: (work) => process.nextTick(work),
      deliver: (responses) => delivered.push(...responses.map((response) => response.index)),
      snapshotTaken: () => undefined,
      generationOf: () => 2,
      installed: () => loaded,
      failed: (error) => {
        throw error;
      },
    });
  }

  test('what is asked for while a write is outstanding shares the next one', async () => {
    writer.append(append(1, 1, 1, entry(2, 1)));
    for (let i = 3; i <= 20; i++) writer.append(append(1, 1, 1, entry(i, 1)));
    assert.deepEqual(delivered, [], 'nothing is answered before it is durable');
    await writer.drain();
    assert.equal(writes, 1);
    assert.deepEqual(
      delivered,
      [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
    );
  });

  test('term and vote are in the vote file before the answer, and only when they changed', async () => {
    const before = votes.newest.sequence;
    writer.append(append(7, 3, 1));
    await writer.drain();
    assert.deepEqual([votes.newest.term, votes.newest.vote], [7, 3]);
    assert.equal(votes.newest.sequence, before + 1);
    writer.append(append(7, 3, 1, entry(2, 7)));
    await writer.drain();
    assert.equal(votes.newest.sequence, before + 1);
  });

  test('a snapshot is not answered before its rows are in the tables', async () => {
    let finish: () => void = () => undefined;
    loaded = new Promise((resolve) => {
      finish = resolve;
    });
    const snapshot = { index: 9, term: 3, confState: EMPTY_CONF_STATE, data: NO_BYTES };
    writer.append({
      ...append(3, 0, 9),
      snapshot,
      responses: append(3, 0, 9, entry(9, 3)).responses,
    });
    writer.append(append(3, 0, 9, entry(10, 3)));
    while (store.boundary.index < 9) await new Promise((resolve) => setImmediate(resolve));
    const written = db.write([], { sync: true });
    await written;
    assert.deepEqual(delivered, []);
    finish();
    await writer.drain();
    assert.deepEqual(delivered, [9, 10]);
  });

  test('a new commit index alone costs no write', async () => {
    writer.append(append(1, 0, 1));
    await writer.drain();
    assert.equal(writes, 0);
  });

  test('before the log is cut, the vote file stops promising what is cut off', async () => {
    writer.append(append(1, 0, 1, entry(2, 1), entry(3, 1), entry(4, 1)));
    await writer.drain();
    writer.append(append(2, 0, 1));
    await writer.drain();
    assert.equal(votes.newest.durableIndex, 4);
    writer.append(append(3, 0, 1, entry(3, 3, 'other')));
    await writer.drain();
    assert.equal(votes.newest.durableIndex, 2);
    await db.close();
    assert.equal((await inspect(directory)).last, 3);
    await start();
    assert.equal(store.term(3), 3);
  });

  test('entries that replace others in one batch leave the last word', async () => {
    writer.append(append(1, 0, 1, entry(2, 1), entry(3, 1), entry(4, 1)));
    writer.append(append(2, 0, 1, entry(3, 2)));
    await writer.drain();
    assert.equal(writes, 1);
    await db.close();
    await start();
    assert.deepEqual([store.lastIndex(), store.term(3), store.term(2)], [3, 2, 1]);
  });

  test('rows of applied entries ride in the next batch, or go alone at a flush', async () => {
    const row = { table: 't', id: 'a', version: 2, bytes: Buffer.from('x'), secret: true };
    writer.append(append(1, 0, 1, entry(2, 1)));
    await writer.drain();
    writer.stage([row], 2, 1, { ...EMPTY_CONF_STATE, voters: [1] });
    assert.equal(store.applied.index, 1, 'not on disk yet');
    writer.append(append(1, 0, 2, entry(3, 1)));
    await writer.drain();
    assert.equal(store.applied.index, 2);
    writer.stage([{ ...row, version: 3 }], 3, 1, { ...EMPTY_CONF_STATE, voters: [1] });
    writer.flush();
    await writer.drain();
    await db.close();
    const content = await inspect(directory);
    assert.equal(content.applied, 3);
    assert.equal(content.rows, 't/a@3=x');
    await start();
  });

  test('a tick writes applied rows by themselves only when nothing else is written', async () => {
    writer.append(append(1, 0, 1, entry(2, 1)));
    await writer.drain();
    writer.stage([], 2, 1, { ...EMPTY_CONF_STATE, voters: [1] });
    const before = writes;
    writer.flushWhenIdle();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(
      writes,
      before,
      'there was a batch since the last tick: the next may come at once',
    );
    writer.flushWhenIdle();
    await writer.drain();
    assert.equal(writes, before + 1);
    assert.equal(store.applied.index, 2);
  });

  test('a compacted log begins behind its boundary and opens again', async () => {
    const entries = Array.from({ length: 5_000 }, (_, i) => entry(i + 2, 1));
    writer.append(append(1, 0, 1, ...entries));
    await writer.drain();
    writer.stage([], 4_000, 1, { ...EMPTY_CONF_STATE, voters: [1] });
    await writer.drain();
    writer.compact(4_500);
    await writer.drain();
    assert.equal(store.firstIndex(), 4_001, 'not above what is applied on disk');
    assert.equal(store.term(4_000), 1);
    assert.equal(store.entries(4_000, 4_002, 1e9), 'compacted');
    await db.close();
    const { last, applied } = await inspect(directory);
    assert.deepEqual([last, applied], [5_001, 4_000]);
    await start();
    assert.equal(store.firstIndex(), 4_001);
  });
});
