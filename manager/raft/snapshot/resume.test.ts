import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Role, SnapshotChunk, type SnapshotHeader } from '../../../proto/index.ts';
import { ManualClock } from '../../../shared/clock.ts';
import { silentLog } from '../../../shared/log.ts';
import type { CallContext } from '../../../shared/rpc/rpc.ts';
import type { Database, DbOp, DbRow } from '../../database/index.ts';
import { type Message, MessageType } from '../core/index.ts';
import { rowKey } from '../storage/keys.ts';
import { PeerDirectory } from '../transport/peers.ts';
import { toChunks } from './chunks.ts';
import { paced } from './pace.ts';
import { SnapshotReceiver } from './receiver.ts';

const ROWS: DbRow[] = Array.from({ length: 1_000 }, (_, i) => {
  return { key: rowKey(1, 'task', `${i}`), value: Buffer.alloc(2_000, i), secret: false };
});
const peer = { kind: 'node', nodeId: 'n1', role: Role.MANAGER, clusterId: 'c' };
const context = { peer } as CallContext;

function header(index: number, resumeAfter: number): SnapshotHeader {
  const sent = SnapshotChunk.create({
    header: {
      clusterId: 'c',
      epoch: 1,
      from: 1,
      to: 2,
      resumeAfter,
      message: {
        type: MessageType.Snap,
        from: 1,
        to: 2,
        snapshot: { index, term: 2, confState: {} },
      },
    },
  });
  return SnapshotChunk.decode(SnapshotChunk.encode(sent)).header!;
}
async function* source(): AsyncGenerator<DbRow> {
  yield* ROWS;
}
/** The chunks of a stream that breaks after `count` of them. */
async function* stream(
  index: number,
  resumeAfter: number,
  count = 1_000,
): AsyncGenerator<SnapshotChunk> {
  for await (const chunk of toChunks(header(index, resumeAfter), source())) {
    if (count-- === 0) throw new Error('the line is cut');
    yield SnapshotChunk.decode(SnapshotChunk.encode(chunk));
  }
}
async function* headerAlone(index: number): AsyncGenerator<SnapshotChunk> {
  yield SnapshotChunk.create({ header: header(index, 0) });
}

function receiver() {
  const written: DbOp[] = [];
  const installed: Message[] = [];
  let cleared = 0;
  const db = {
    write: async (ops: readonly DbOp[]) => void written.push(...ops),
    clear: async () => {
      cleared++;
      written.length = 0;
    },
  } as unknown as Database;
  const made = new SnapshotReceiver({
    identity: { clusterId: 'c', epoch: 1, nodeId: 'n2', raftId: 2, format: 1 },
    directory: new PeerDirectory({ peers: [], removed: [] }, () => undefined),
    db,
    log: silentLog,
    generation: () => 1,
    install: async (message) => {
      installed.push(message);
      return 'installed';
    },
  });
  return { made, written, installed, cleared: () => cleared };
}

describe('a snapshot whose stream breaks', () => {
  test('goes on after what is there, and is whole at the end', async () => {
    const { made, written, installed, cleared } = receiver();
    assert.equal((await made.receive(stream(10, 0, 4), context)).installed, false);
    const kept = written.length;
    assert.ok(kept > 0);
    const { resumeAfter } = await made.receive(headerAlone(10), context);
    assert.equal(resumeAfter, 3);
    assert.equal(written.length, kept, 'asking changes nothing');
    const ack = await made.receive(stream(10, resumeAfter), context);
    assert.deepEqual([ack.installed, ack.reason], [true, '']);
    assert.equal(written.length, ROWS.length);
    assert.equal(cleared(), 1);
    assert.equal(installed[0]!.snapshot!.index, 10);
  });

  test('begins anew when it is another one', async () => {
    const { made, written } = receiver();
    await made.receive(stream(10, 0, 4), context);
    assert.equal((await made.receive(headerAlone(11), context)).resumeAfter, 0);
    assert.match((await made.receive(stream(11, 3), context)).reason, /not here any more/);
    assert.equal((await made.receive(stream(11, 0), context)).installed, true);
    assert.equal(written.length, ROWS.length);
  });

  test('sends only what is missing', async () => {
    const all: number[] = [];
    for await (const chunk of toChunks(header(10, 0), source())) all.push(chunk.sequence);
    const rest: number[] = [];
    for await (const chunk of toChunks(header(10, 3), source())) rest.push(chunk.sequence);
    assert.deepEqual(
      rest,
      all.filter((sequence) => sequence === 0 || sequence > 3),
    );
  });

  test('keeps to its rate', async () => {
    const clock = new ManualClock();
    let bytes = 0;
    let ended = false;
    const sending = (async () => {
      for await (const chunk of paced(toChunks(header(10, 0), source()), 1 << 20, clock)) {
        for (const value of chunk.values) bytes += value.length;
      }
      ended = true;
    })();
    while (!ended) {
      await new Promise(setImmediate);
      assert.ok(bytes <= (1 << 20) * (clock.monotonicMs() / 1_000) + 600_000);
      const due = clock.nextDueMs();
      if (due !== undefined) clock.advance(due - clock.monotonicMs());
    }
    await sending;
    assert.ok(clock.monotonicMs() > 1_500);
  });
});
