import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  Channel,
  FilesAction,
  Frame,
  type Init,
  TaskState,
  TaskStreamRequest,
  TaskStreamUp,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { type MemoryDuplex, memoryDuplex } from '../../shared/rpc/memory-duplex.fixture.ts';
import { context, Fixture } from './control.fixture.ts';

interface Caller {
  readonly stream: MemoryDuplex<Frame, TaskStreamUp>;
  readonly frames: Frame[];
  readonly closed: Promise<SwarmError | undefined>;
}

function open(at: Fixture, ref: string, request: Init<TaskStreamRequest> = { exec: {} }): Caller {
  const { near, far } = memoryDuplex<Frame, TaskStreamUp>();
  const frames: Frame[] = [];
  near.onMessage((frame) => void frames.push(frame));
  const closed = new Promise<SwarmError | undefined>((resolve) => near.onClose(resolve));
  at.control.taskStream(far, context());
  near.send(TaskStreamUp.create({ ref, open: TaskStreamRequest.create(request) }));
  return { stream: near, frames, closed };
}
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function running(): Promise<Fixture> {
  const at = new Fixture();
  await at.node('n1');
  await at.node('n2');
  const id = await at.create({ replicas: 2 });
  await at.task({ id: 'old', serviceId: id, slot: 1, nodeId: 'n1' }, { state: TaskState.FAILED });
  await at.running(id, 'first', 1, 'n1');
  await at.running(id, 'second', 2, 'n2');
  return at;
}

test('a task is found by id, slot and service, and it is the one that runs', async () => {
  const at = await running();
  for (const ref of ['first', 'web.1', 'web', 'web.2']) open(at, ref);
  await settle();
  const found = at.taskStreams.map(({ nodeId, request }) => `${request.taskId}@${nodeId}`);
  assert.deepEqual(found, ['first@n1', 'first@n1', 'first@n1', 'second@n2']);
});

test('frames go both ways, and the caller learns the names of task and node', async () => {
  const at = await running();
  const caller = open(at, 'web.2');
  await settle();
  const [{ agent }] = at.taskStreams as [(typeof at.taskStreams)[0]];
  const heard: Frame[] = [];
  agent.onMessage((frame) => void heard.push(frame));
  agent.send(Frame.create({ started: { pid: 7 } }));
  const data = { channel: Channel.INPUT, data: Buffer.from('typed') };
  caller.stream.send(TaskStreamUp.create({ frame: { data } }));
  await settle();
  const { started } = caller.frames[0]!;
  assert.deepEqual([started?.taskName, started?.nodeName, started?.pid], ['web.2', 'n2', 7]);
  assert.equal(Buffer.from(heard[0]!.data!.data).toString(), 'typed');
  caller.stream.end();
  await new Promise<void>((resolve) => agent.onClose(() => resolve()));
});

test('what can not be looked into says why', async () => {
  const at = await running();
  const id = await at.create({ name: 'batch', replicas: 1 });
  await at.task(
    { id: 'dead', serviceId: id, slot: 1, nodeId: 'n1' },
    { state: TaskState.FAILED, err: 'exit code 3' },
  );
  const errors: [string, string, RegExp][] = [
    ['none', 'NOT_FOUND', /no service "none"/],
    ['batch', 'PRECONDITION', /newest is failed \(exit code 3\)/],
    ['dead', 'PRECONDITION', /is not running: it is failed/],
  ];
  for (const [ref, code, text] of errors) {
    const error = await open(at, ref).closed;
    assert.deepEqual([error?.code, text.test(error?.message ?? '')], [code, true], ref);
  }
});

test('files of a task that has ended are looked at, where nothing of it runs', async () => {
  const at = await running();
  const id = await at.create({ name: 'batch', replicas: 1 });
  const dead = { serviceId: id, slot: 1, nodeId: 'n1' };
  await at.task({ ...dead, id: 'older', createdMs: 1 }, { state: TaskState.FAILED });
  await at.task({ ...dead, id: 'newer', createdMs: 2 }, { state: TaskState.FAILED });
  const look = { files: { action: FilesAction.READ, path: '/x' } };
  for (const ref of ['batch.1', 'older', 'web.1', 'old']) open(at, ref, look);
  await settle();
  const found = at.taskStreams.map(({ request }) => request.taskId);
  assert.deepEqual(found, ['newer', 'older', 'first', 'old']);
  const into = { files: { action: FilesAction.WRITE, path: '/x' } };
  assert.equal((await open(at, 'batch.1', into).closed)?.code, 'PRECONDITION');
});

test('a node that is lost ends the stream with its error', async () => {
  const at = await running();
  const caller = open(at, 'web');
  await settle();
  at.taskStreams[0]!.agent.destroy(new SwarmError('UNREACHABLE', 'Node n1 is gone.'));
  assert.equal((await caller.closed)?.message, 'Node n1 is gone.');
});
