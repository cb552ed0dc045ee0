import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Availability, Member, Node, Role, Service, StoreEntry } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import { firstState } from '../bootstrap-rows.ts';
import { Database, type DbOp, openLevel, systemDisk } from '../database/index.ts';
import { EntryType } from '../raft/core/index.ts';
import { createFirstMember } from '../raft/index.ts';
import { logKey, META, stateRange } from '../raft/storage/keys.ts';
import { chainOf, encodeRecord } from '../raft/storage/log-record.ts';
import { type Applied, decodeJson, encodeHard, type Identity } from '../raft/storage/meta.ts';
import { openLog } from '../raft/storage/open-log.ts';
import { rowOf } from '../raft/storage/row-record.ts';
import type { RowChange } from '../replication.ts';
import { decodeRow } from '../store/apply.ts';
import type { Rows, TableName } from '../store/schema.ts';
import { type BackupSummary, backUp } from './backup.ts';
import { writeNewFile } from './backup-file.ts';
import { makeBackupKey, parseBackupKey } from './backup-key.ts';
import { rowChange } from './new-epoch.ts';
import { recover } from './recover.ts';
import { restore } from './restore.ts';

const clock = new ManualClock();
const random = new SeededRandom(7);
const files = { disk: systemDisk, random, openEngine: openLevel };
const base = { ...files, clock, log: silentLog };
const SELF = { nodeId: 'a'.repeat(25), raftId: 11, address: '10.0.0.1:2377' };
const OTHER = 'b'.repeat(25);
const services = Array.from({ length: 2_500 }, (_, i) => {
  const spec = { name: `service-${i}`, labels: { text: 'x'.repeat(200) } };
  return Service.create({ id: `s${i}`, spec, revision: 1 });
});

/** The state of one of two managers, with enough rows for several pieces. */
async function makeState(directory: string): Promise<void> {
  const { nodeId, raftId, address } = SELF;
  const availability = Availability.ACTIVE;
  const names = { clusterId: 'cluster', nodeName: 'a', availability, spec: null };
  const { rows } = await firstState({ ...names, nodeId, raftId, address }, clock, random);
  const other = {
    id: OTHER,
    raftId: 12,
    address: '10.0.0.2:2377',
    role: Role.MANAGER,
    phase: 'voter',
  };
  const more: RowChange[] = [
    rowChange('node', Node.create({ id: OTHER, name: 'b', role: Role.MANAGER }), 1),
    rowChange('member', Member.create(other), 1),
    ...services.map((service) => rowChange('service', service, 1)),
  ];
  const member = { clusterId: 'cluster', epoch: 1, ...SELF };
  await createFirstMember(directory, member, [...rows, ...more], files);
}

interface Content {
  readonly identity: Identity;
  readonly applied: Applied;
  all<T extends TableName>(table: T): Rows[T][];
}

async function read(directory: string): Promise<Content> {
  const db = await Database.open(directory, { ...base, onPoison: () => undefined });
  try {
    const { identity, applied } = await openLog(directory, db, systemDisk);
    const rows: RowChange[] = [];
    for await (const row of db.iterate(stateRange(applied.generation))) rows.push(rowOf(row));
    await db.passed();
    const all = <T extends TableName>(table: T) =>
      rows
        .filter((row) => row.table === table)
        .map((row) => decodeRow(table, row.id, row.version, row.bytes!) as Rows[T]);
    return { identity, applied, all };
  } finally {
    await db.close();
  }
}

async function backupOf(directory: string, key: Uint8Array) {
  const db = await Database.open(directory, { ...base, onPoison: () => undefined });
  const snapshot = db.snapshot();
  const pieces: Buffer[] = [];
  const making = backUp(snapshot, key, clock.wallMs(), random);
  let summary: BackupSummary;
  for (;;) {
    const { done, value } = await making.next();
    if (done === true) {
      summary = value;
      break;
    }
    pieces.push(value);
  }
  assert.ok(decodeJson<Identity>(snapshot.getSync(META.identity), '').raftId === SELF.raftId);
  await snapshot.close();
  await db.passed();
  await db.close();
  return { bytes: Buffer.concat(pieces), pieces: pieces.length, summary };
}

async function* inPieces(bytes: Buffer, size = 10_007): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'swarm-recovery-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

describe('a backup', () => {
  const key = makeBackupKey(random);
  const target = { nodeId: 'c'.repeat(25), nodeName: 'a', address: '10.9.9.9:2377' };
  const restoreTo = (name: string, bytes: Buffer, with_ = key.bytes) =>
    restore(join(root, name), inPieces(bytes), with_, target, base);
  const refused = (code: string, says: RegExp) => (error: unknown) =>
    SwarmError.is(error) && error.code === code && says.test(error.message);

  test('restored elsewhere is a cluster of one with every other row as it was', async () => {
    await makeState(join(root, 'old'));
    const { bytes, pieces, summary } = await backupOf(join(root, 'old'), key.bytes);
    assert.ok(pieces > 3, 'several pieces');
    assert.deepEqual([summary.services, summary.nodes, summary.bytes], [2_500, 2, bytes.length]);
    const { identity, nodeName, backup, formerManagers } = await restoreTo('new', bytes);
    assert.deepEqual({ ...backup }, { ...summary });
    assert.deepEqual(formerManagers, ['a', 'b']);
    assert.deepEqual([identity.subject.nodeId, nodeName], [target.nodeId, 'a-2']);
    const found = await read(join(root, 'new'));
    assert.equal(found.all('service').length, services.length);
    const third = found.all('service').find((row) => row.id === 's2')!;
    assert.deepEqual([third.spec!.name, third.version], ['service-2', 1]);
    const members = found.all('member').map((row) => [row.id, row.address, row.phase]);
    assert.deepEqual(members, [[target.nodeId, target.address, 'voter']]);
    const removed = found.all('removedMember').map((row) => row.id);
    assert.deepEqual(removed.sort(), ['11', '12']);
    const managers = found.all('certificate').filter((row) => row.role === Role.MANAGER);
    assert.deepEqual(
      managers.map((row) => row.id),
      [target.nodeId],
    );
    assert.ok(found.identity.epoch > 1);
    assert.equal(found.all('clusterSecrets')[0]!.epoch, found.identity.epoch);
    assert.equal(found.applied.confState.voters.length, 1);
    assert.equal(found.applied.confState.voters[0], found.identity.raftId);
  });

  test('with one byte changed anywhere, or cut off anywhere, makes no state', async () => {
    await makeState(join(root, 'old'));
    const { bytes } = await backupOf(join(root, 'old'), key.bytes);
    for (let at = 3; at < bytes.length; at += Math.floor(bytes.length / 12)) {
      const bad = Buffer.from(bytes);
      bad[at]! ^= 4;
      await assert.rejects(restoreTo('new', bad), SwarmError.is);
      await assert.rejects(restoreTo('new', bytes.subarray(0, at)), SwarmError.is);
      assert.ok(!existsSync(join(root, 'new')));
    }
    await assert.rejects(
      restoreTo('new', Buffer.concat([bytes, bytes])),
      refused('DAMAGED', /after|follows/),
    );
  });

  test('says what is wrong with it', async () => {
    await makeState(join(root, 'old'));
    const { bytes } = await backupOf(join(root, 'old'), key.bytes);
    const other = makeBackupKey(random).bytes;
    await assert.rejects(restoreTo('n', bytes, other), refused('UNAUTHENTICATED', /not the one/));
    await assert.rejects(
      restoreTo('n', Buffer.from('x')),
      refused('INVALID_ARGUMENT', /not a backup/),
    );
    await assert.rejects(
      restoreTo('n', Buffer.alloc(0)),
      refused('INVALID_ARGUMENT', /not a backup/),
    );
    await assert.rejects(restoreTo('n', bytes.subarray(0, 900)), refused('DAMAGED', /cut off/));
    const newer = Buffer.from(bytes);
    newer[13] = 2;
    await assert.rejects(restoreTo('n', newer), refused('UNSUPPORTED', /format 2/));
    await assert.rejects(restoreTo('old', bytes), refused('STATE_DIR', /already/));
  });

  test('has no secret in it that can be read without its key', async () => {
    await makeState(join(root, 'old'));
    const { bytes } = await backupOf(join(root, 'old'), key.bytes);
    assert.ok(!bytes.includes('PRIVATE KEY'));
    assert.ok(!bytes.includes('service-1'));
  });

  test('has a key that is read as it was shown, and never repeated in an error', () => {
    assert.deepEqual(Buffer.from(parseBackupKey(` ${key.text}\n`)), Buffer.from(key.bytes));
    const wrong = key.text.slice(0, -3);
    const silent = (error: unknown) => SwarmError.is(error) && !error.message.includes(wrong);
    assert.throws(() => parseBackupKey(wrong), silent);
  });

  test('takes no other file’s place and leaves nothing half-made', async () => {
    const path = join(root, 'file');
    const one = async function* (): AsyncGenerator<Uint8Array, string> {
      yield Buffer.from('one');
      return 'done';
    };
    assert.equal(await writeNewFile(path, one()), 'done');
    await assert.rejects(writeNewFile(path, one()), refused('NAME_CONFLICT', /exists/));
    const broken = async function* (): AsyncGenerator<Uint8Array, void> {
      yield Buffer.from('half');
      throw new SwarmError('DAMAGED', 'broken');
    };
    await assert.rejects(writeNewFile(`${path}2`, broken()), /broken/);
    assert.deepEqual(readdirSync(root), ['file']);
  });
});

describe('recovering', () => {
  const options = { address: '10.0.0.7:2377', withUncommitted: false, backupKey: random.bytes(32) };

  test('takes a backup first, and leaves the state alone when that fails', async () => {
    const directory = join(root, 'raft');
    await makeState(directory);
    const saveBackup = () => Promise.reject(new SwarmError('READ_ONLY', 'the disk is full'));
    await assert.rejects(recover(directory, options, { ...base, saveBackup }), /disk is full/);
    const { identity, applied } = await read(directory);
    assert.deepEqual([identity.epoch, identity.raftId, applied.index], [1, SELF.raftId, 1]);
  });

  test('makes this manager the only one, ahead of everything said before', async () => {
    const directory = join(root, 'raft');
    await makeState(directory);
    const before = await read(directory);
    const secrets = before.all('clusterSecrets')[0]!;
    let pieces = 0;
    const saveBackup = async (backup: AsyncGenerator<Buffer, BackupSummary>) => {
      for await (const _ of backup) pieces++;
    };
    const recovered = await recover(directory, options, { ...base, saveBackup });
    assert.ok(pieces > 3);
    assert.deepEqual([recovered.droppedEntries, recovered.formerManagers], [0, ['b']]);
    const after = await read(directory);
    assert.ok(after.identity.epoch > before.identity.epoch);
    assert.ok(after.applied.term > before.applied.term + 999);
    assert.notEqual(after.identity.raftId, SELF.raftId);
    assert.deepEqual(after.applied.confState.voters, [after.identity.raftId]);
    const members = after.all('member').map((row) => [row.id, row.address]);
    assert.deepEqual(members, [[SELF.nodeId, options.address]]);
    const roles = after.all('node').map((row) => [row.name, row.role]);
    assert.deepEqual(roles.sort(), [
      ['a', Role.MANAGER],
      ['b', Role.WORKER],
    ]);
    const renewed = after.all('clusterSecrets')[0]!;
    assert.notEqual(renewed.workerTokenSecret, secrets.workerTokenSecret);
    assert.notEqual(renewed.managerTokenSecret, secrets.managerTokenSecret);
    assert.equal(after.all('service').length, services.length);
    const again = await recover(directory, options, { ...base, saveBackup });
    assert.ok(again.epoch > recovered.epoch);
  });

  test('keeps what is committed and not yet among the rows; the rest only where that is asked', async () => {
    for (const withUncommitted of [false, true]) {
      const directory = join(root, `raft-${withUncommitted}`);
      await makeState(directory);
      await appendEntries(directory, ['committed', 'not known to be'], 1);
      const saveBackup = async (backup: AsyncGenerator<Buffer, BackupSummary>) => {
        for await (const _ of backup);
      };
      const how = { ...options, withUncommitted };
      const { droppedEntries } = await recover(directory, how, { ...base, saveBackup });
      assert.equal(droppedEntries, withUncommitted ? 0 : 1);
      const names = (await read(directory)).all('service').map((row) => row.spec!.name);
      assert.ok(names.includes('committed'));
      assert.equal(names.includes('not known to be'), withUncommitted);
    }
  });
});

/** Entries in the log of which only the first `committed` are known to be. */
async function appendEntries(
  directory: string,
  names: readonly string[],
  committed: number,
): Promise<void> {
  const db = await Database.open(directory, { ...base, onPoison: () => undefined });
  const { hardState, votes } = await openLog(directory, db, systemDisk);
  const ops: DbOp[] = [];
  let chain = 0;
  for (const [at, name] of names.entries()) {
    const service = Service.encode(Service.create({ id: name, spec: { name } }));
    const change = { tables: [{ table: 'service', puts: [service] }], format: 1 };
    const data = StoreEntry.encode(StoreEntry.create(change));
    const entry = { index: 2 + at, term: 1, type: EntryType.Normal, data };
    chain = chainOf(chain, entry);
    ops.push({ key: logKey(entry.index), value: encodeRecord(entry, chain), secret: true });
  }
  const lastIndex = 1 + names.length;
  const voteSequence = votes.newest.sequence;
  const hard = encodeHard({ ...hardState, commit: 1 + committed, lastIndex, voteSequence });
  await db.write([...ops, { key: META.hardState, value: hard, secret: false }], { sync: true });
  await db.passed();
  await db.close();
}
