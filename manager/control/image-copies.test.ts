import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CopyBlobsProgress, type ManagerCopy, RaftStatus } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Client } from '../../shared/rpc/rpc.ts';
import { type CopyDeps, copyToManagers } from './image-copies.ts';

const BLOBS = [{ digest: `sha256:${'1'.repeat(64)}`, size: 10 }];
type Manager = 'has' | 'fails' | 'silent' | 'unreachable' | 'learner';

/** Copies to the manager that is asked, n1, which has the image, and to others as they are. */
function copying(clock: ManualClock, others: readonly Manager[]) {
  const members = (['has', ...others] as const).map((how, at) => ({
    raftId: at + 1,
    nodeId: `n${at + 1}`,
    nodeName: `n${at + 1}`,
    address: `m${at + 1}:1`,
    role: how === 'learner' ? 'learner' : 'voter',
    active: how !== 'unreachable',
  }));
  const status = RaftStatus.decode(
    RaftStatus.encode(RaftStatus.create({ raftId: 1, members: members as never })),
  );
  const dialled: string[] = [];
  const dial = (address: string) => {
    dialled.push(address);
    const how = others[Number(address.slice(1, -2)) - 2]!;
    return { serverStream: () => answers(how), close: () => undefined } as unknown as Client;
  };
  const copies = { fetch: async () => undefined };
  const deps = {
    disks: { blobs: undefined, copies, dial },
    clock,
    selfNodeId: 'n1',
    signal: new AbortController().signal,
  } as unknown as CopyDeps;
  return { dialled, told: copyToManagers(deps, status, BLOBS, 'n1') };
}

async function* answers(how: Manager): AsyncIterable<CopyBlobsProgress> {
  yield CopyBlobsProgress.create({ doneBytes: 4 });
  if (how === 'fails') throw new SwarmError('READ_ONLY', 'its disk is full');
  if (how === 'silent') await new Promise<never>(() => undefined);
  yield CopyBlobsProgress.create({ doneBytes: 10 });
}

async function ended(told: AsyncIterable<readonly ManagerCopy[]>) {
  let last: readonly ManagerCopy[] = [];
  for await (const copies of told) last = copies;
  return last.map(({ nodeName, done, error }) => `${nodeName} ${done ? 'has it' : error}`);
}

test('an image is brought to all managers that can be reached, and no others are waited for', async () => {
  const { told, dialled } = copying(new ManualClock(), [
    'has',
    'has',
    'unreachable',
    'unreachable',
  ]);
  assert.deepEqual(await ended(told), ['n1 has it', 'n2 has it', 'n3 has it']);
  assert.deepEqual(dialled, ['m2:1', 'm3:1']);
});

test('a manager that fails is named where a quorum has the image', async () => {
  const { told } = copying(new ManualClock(), ['has', 'fails']);
  assert.deepEqual(await ended(told), ['n1 has it', 'n2 has it', 'n3 its disk is full']);
});

test('an image that no quorum has is refused, with what failed', async () => {
  const failing = copying(new ManualClock(), ['fails', 'unreachable']);
  await assert.rejects(ended(failing.told), {
    code: 'PRECONDITION',
    message: 'the image is on 1 of 3 managers, which is no quorum: n2: its disk is full',
  });
  const alone = copying(new ManualClock(), ['unreachable', 'unreachable']);
  await assert.rejects(ended(alone.told), { code: 'NO_QUORUM' });
});

test('a learner gets the image and counts for no quorum', async () => {
  const { told, dialled } = copying(new ManualClock(), ['unreachable', 'learner']);
  await assert.rejects(ended(told), { code: 'NO_QUORUM' });
  assert.deepEqual(dialled, ['m3:1']);
});

test('a manager that says nothing more for 30 s has failed', async () => {
  const clock = new ManualClock();
  const { told } = copying(clock, ['has', 'silent']);
  let last: readonly ManagerCopy[] = [];
  for await (const copies of told) {
    if (copies[2]!.doneBytes === 4) setImmediate(() => clock.advance(30_000));
    last = copies;
  }
  assert.equal(last[2]!.error, 'a copy of an image does not go on');
});
