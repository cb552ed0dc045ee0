import assert from 'node:assert/strict';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SeededRandom } from '../../../shared/random.ts';
import { openLevel, systemDisk } from '../../database/index.ts';
import { TestCluster } from '../cluster.fixture.ts';
import { createFirstMember } from './bootstrap.ts';
import { META, markerRange } from './keys.ts';
import { type Content, inspect, open } from './log.fixture.ts';
import { decodeHard, encodeHard } from './meta.ts';
import { VoteFile } from './vote-file.ts';

const WRITES = 12;

describe('the open check', () => {
  const cluster = new TestCluster();
  let root = '';
  let whole: Content;
  let copies = 0;

  before(async () => {
    await cluster.start(1);
    for (let i = 0; i < WRITES; i++) await cluster.write(`k${i}`, `${'v'.repeat(100)}${i}`);
    await cluster.members[0]!.opened.close();
    root = await mkdtemp(join(tmpdir(), 'swarm-open-'));
    whole = await inspect(await copy());
  });
  after(async () => {
    await rm(root, { recursive: true, force: true });
    await cluster.stop();
  });

  test('a state that was closed in order passes', () => {
    // The row of `init`, then one entry a write, and the first entry of each of two terms.
    assert.equal(whole.last, 1 + WRITES + 1);
    assert.equal(whole.applied, whole.last);
  });

  test('a cut anywhere in the last batch leaves all before it', async () => {
    const path = await copy();
    const log = (await readdir(join(path, 'db'))).find((name) => name.endsWith('.log'));
    const bytes = await readFile(join(path, 'db', log!));
    for (const cut of [1, 8, 20, 60]) {
      const torn = await copy();
      await writeFile(join(torn, 'db', log!), bytes.subarray(0, bytes.length - cut));
      const content = await inspect(torn);
      assert.ok(content.last >= whole.last - 1 && content.last <= whole.last, `cut ${cut}`);
    }
  });

  test('a log that ends below what the vote file knows is damage', async () => {
    const path = await copy();
    const votes = await VoteFile.open(path, systemDisk);
    const { term, vote } = votes!.newest;
    await votes!.write({ term, vote, durableIndex: whole.last + 1 });
    await assert.rejects(inspect(path), { code: 'DAMAGED' });
  });

  test('a vote file that is newer than the hard state counts', async () => {
    const path = await copy();
    const votes = await VoteFile.open(path, systemDisk);
    await votes!.write({ term: whole.term + 5, vote: 42, durableIndex: 1 });
    const content = await inspect(path);
    assert.deepEqual([content.term, content.vote], [whole.term + 5, 42]);
  });

  test('one torn vote file is normal, two are damage', async () => {
    const path = await copy();
    const votes = await VoteFile.open(path, systemDisk);
    const newer = votes!.newest.sequence % 2 === 0 ? 'vote.a' : 'vote.b';
    await writeFile(join(path, newer), 'torn');
    const content = await inspect(path);
    assert.deepEqual(
      [content.term, content.vote],
      [whole.term, whole.vote],
      'the hard state knows',
    );
    await writeFile(join(path, 'vote.a'), '');
    await writeFile(join(path, 'vote.b'), '');
    await assert.rejects(inspect(path), { code: 'DAMAGED' });
  });

  test('a spoilt vote file is written anew, or the next start would believe the older one', async () => {
    const path = await copy();
    const votes = await VoteFile.open(path, systemDisk);
    const newest = await votes!.write({ term: whole.term, vote: whole.vote, durableIndex: 1 });
    const db = await open(path);
    const hard = decodeHard((await db.get(META.hardState))!);
    const named = encodeHard({ ...hard, voteSequence: newest.sequence });
    await db.write([{ key: META.hardState, value: named, secret: false }], { sync: true });
    await db.close();
    await writeFile(join(path, newest.sequence % 2 === 0 ? 'vote.a' : 'vote.b'), 'torn');
    await inspect(path);
    const { sequence, term, vote } = (await VoteFile.open(path, systemDisk))!.newest;
    assert.deepEqual([sequence, term, vote], [newest.sequence, whole.term, whole.vote]);
  });

  test('a log entry or a write of applied state that is missing is damage', async () => {
    for (const kind of ['entry', 'marker'] as const) {
      const path = await copy();
      const db = await open(path);
      const range = kind === 'entry' ? entryRange(5) : markerRange(5, 9);
      await db.clear(range, { sync: true });
      await db.close();
      await assert.rejects(inspect(path), { code: 'DAMAGED' }, kind);
    }
  });

  test('a commit index above the end of the log is damage', async () => {
    const path = await copy();
    const db = await open(path);
    const hard = decodeHard((await db.get(META.hardState))!);
    const value = encodeHard({ ...hard, commit: hard.lastIndex + 1 });
    await db.write([{ key: META.hardState, value, secret: false }], { sync: true });
    await db.close();
    await assert.rejects(inspect(path), { code: 'DAMAGED' });
  });

  test('a state is made once: a second making is refused', async () => {
    const path = await copy();
    const member = { clusterId: 'c', epoch: 0, nodeId: 'n', raftId: 1, address: 'a:1' };
    const deps = { disk: systemDisk, random: new SeededRandom(1), openEngine: openLevel };
    await assert.rejects(createFirstMember(path, member, [], deps), { code: 'STATE_DIR' });
  });

  async function copy(): Promise<string> {
    const path = join(root, `copy-${copies++}`);
    await cp(cluster.members[0]!.directory, path, { recursive: true });
    return path;
  }
});

function entryRange(index: number) {
  const key = (n: number) => Buffer.concat([Buffer.from('l/\0\0\0\0\0\0\0'), Uint8Array.of(n)]);
  return { gte: key(index), lt: key(index + 1) };
}
