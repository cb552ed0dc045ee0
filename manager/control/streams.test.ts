import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type EventItem,
  EventsRequest,
  LogRecord,
  type LogsItem,
  LogsRequest,
  ScaleServiceRequest,
  TaskState,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { LIMITS } from '../../shared/limits.ts';
import { collect, context, Fixture } from './control.fixture.ts';

const scale = (replicas: number) => ScaleServiceRequest.create({ ref: 'web', replicas });
const events = (at: Fixture, cursor: string, follow = false, signal?: AbortSignal) =>
  at.control.events(
    EventsRequest.create({ cursor, follow, filters: [{ key: 'type', value: 'service' }] }),
    context(signal ? { signal } : {}),
  );
const actions = (items: readonly EventItem[]) => items.map((item) => item.event!.action);

async function eventful(): Promise<Fixture> {
  const at = new Fixture();
  await at.cluster();
  await at.create({});
  await at.control.scaleService(scale(2), context());
  return at;
}

test('events come in order, and a cursor goes on after its event', async () => {
  const at = await eventful();
  const all = await collect(events(at, ''));
  assert.deepEqual(actions(all), ['create', 'update']);
  assert.match(all[0]!.cursor, /^3\.\d+\.0$/);
  assert.deepEqual(actions(await collect(events(at, all[0]!.cursor))), ['update']);
  assert.deepEqual(actions(await collect(events(at, all[1]!.cursor))), []);
});

test('a cursor whose events are gone, or of an earlier epoch, has expired', async () => {
  const at = await eventful();
  const [first] = await collect(events(at, ''));
  const index = first!.cursor.split('.')[1];
  await assert.rejects(collect(events(at, `2.${index}.0`)), { code: 'EXPIRED' });
  const row = String(index).padStart(16, '0');
  await at.store.update((draft) => draft.delete('event', row), { writer: 'store' });
  await assert.rejects(collect(events(at, first!.cursor)), { code: 'EXPIRED' });
  await assert.rejects(collect(events(at, 'yesterday')), { code: 'INVALID_ARGUMENT' });
});

test('a cursor that a manager has not got to yet is waited for', async () => {
  const at = await eventful();
  const next = at.store.view.index + 1;
  assert.deepEqual(await collect(events(at, `3.${next}.0`)), []);
  const abort = new AbortController();
  const items = events(at, `3.${next}.0`, true, abort.signal)[Symbol.asyncIterator]();
  const item = items.next();
  await new Promise(setImmediate);
  await at.control.scaleService(scale(7), context());
  await at.control.scaleService(scale(8), context());
  assert.equal((await item).value.event.message, 'revision 4: scale to 8');
  abort.abort();
});

test('following events gives what happens from now on, until the caller goes away', async () => {
  const at = await eventful();
  const abort = new AbortController();
  const items = events(at, 'now', true, abort.signal)[Symbol.asyncIterator]();
  const next = items.next();
  await new Promise(setImmediate);
  await at.control.scaleService(scale(7), context());
  assert.equal((await next).value.event.message, 'revision 3: scale to 7');
  const last = items.next();
  abort.abort();
  assert.equal((await last).done, true);
});

test('a reader of events that is slower than the cluster loses none', async () => {
  const at = await eventful();
  const items = events(at, 'now', true)[Symbol.asyncIterator]();
  const first = items.next();
  await new Promise(setImmediate);
  await at.control.scaleService(scale(3), context());
  const seen = [(await first).value];
  const total = LIMITS.eventQueueMax + 50;
  for (let i = 0; i < total; i++)
    await at.store.update(
      (draft) => draft.emit({ kind: 'service', action: 'x', id: '', name: '', message: `${i}` }),
      { writer: 'users' },
    );
  while (seen.length <= total) seen.push((await items.next()).value);
  assert.equal(seen.at(-1)!.event!.message, `${total - 1}`);
  assert.equal(new Set(seen.map((item) => item.cursor)).size, total + 1);
  await items.return?.();
});

const line = (taskId: string, atWallMs: number) =>
  LogRecord.create({ taskId, atWallMs, line: Buffer.from(`${taskId}@${atWallMs}`) });

async function* given(...records: LogRecord[]): AsyncIterable<LogRecord> {
  yield* records;
}
async function* silent(): AsyncIterable<LogRecord> {
  await new Promise(() => undefined);
}
const logs = (at: Fixture, ref: string, follow = false, kind = '') =>
  at.control.logs(LogsRequest.create({ ref, kind, options: { follow, tail: 5 } }), context());
const texts = (items: readonly LogsItem[]) =>
  items.flatMap((item) =>
    item.note === '' ? item.records.map((r) => Buffer.from(r.line).toString()) : [`# ${item.note}`],
  );

async function talking(): Promise<Fixture> {
  const at = new Fixture();
  await at.node('n1');
  await at.node('n2');
  const id = await at.create({ replicas: 2 });
  await at.running(id, 'a', 1, 'n1');
  await at.running(id, 'b', 2, 'n2');
  at.logs.set('a', () => given(line('a', 1), line('a', 4)));
  at.logs.set('b', () => given(line('b', 2), line('b', 3), line('b', 5)));
  return at;
}

test('the logs of a service are those of its tasks, in order of time', async () => {
  const at = await talking();
  assert.deepEqual(texts(await collect(logs(at, 'web'))), ['a@1', 'b@2', 'b@3', 'a@4', 'b@5']);
  assert.ok(at.opened.every((request) => request.stdout && request.stderr && request.tail === 5));
});

test('the log of one task is its own alone', async () => {
  const at = await talking();
  assert.deepEqual(texts(await collect(logs(at, 'web.2'))), ['b@2', 'b@3', 'b@5']);
});

test('a node that is silent costs 3 s and one note', async () => {
  const at = await talking();
  at.logs.set('a', silent);
  const all = collect(logs(at, 'web'));
  while (at.opened.length < 2) await new Promise(setImmediate);
  await new Promise(setImmediate);
  at.clock.advance(LIMITS.logSilentMs);
  assert.deepEqual(texts(await all), [
    '# the logs on node n1 are missing: it was silent for 3 s',
    'b@2',
    'b@3',
    'b@5',
  ]);
});

test('a node without a session costs one note and no time', async () => {
  const at = await talking();
  at.unreachable.add('n2');
  assert.deepEqual(texts(await collect(logs(at, 'web'))), [
    '# the logs on node n2 are missing: it does not answer',
    'a@1',
    'a@4',
  ]);
});

test('a task without a log costs one note, the others of its node are shown', async () => {
  const at = await talking();
  const service = [...at.store.view.table('service').all()][0]!;
  await at.running(service.id, 'gone', 3, 'n1');
  assert.deepEqual(texts(await collect(logs(at, 'web'))), [
    '# the log of task gone on node n1 is missing: it knows no such task',
    'a@1',
    'b@2',
    'b@3',
    'a@4',
    'b@5',
  ]);
});

test('a caller who goes away ends the streams that say nothing', async () => {
  const at = await talking();
  at.logs.set('a', silent);
  at.logs.set('b', silent);
  const abort = new AbortController();
  const request = LogsRequest.create({ ref: 'web', options: { follow: true } });
  const all = collect(at.control.logs(request, context({ signal: abort.signal })));
  while (at.opened.length < 2) await new Promise(setImmediate);
  abort.abort();
  assert.deepEqual(texts(await all), []);
  assert.deepEqual(
    at.signals.map((signal) => signal.aborted),
    [true, true],
  );
});

test('following a service shows the tasks that begin later as well', async () => {
  const at = await talking();
  at.logs.set('c', () => given(line('c', 9)));
  const items = logs(at, 'web', true)[Symbol.asyncIterator]();
  const seen: string[] = [];
  while (seen.length < 5) seen.push(...texts([(await items.next()).value]));
  assert.deepEqual(seen.sort(), ['a@1', 'a@4', 'b@2', 'b@3', 'b@5']);
  const next = items.next();
  const service = [...at.store.view.table('service').all()][0]!;
  await at.task({ id: 'c', serviceId: service.id, slot: 3, nodeId: 'n1' });
  await at.status({ id: 'c', state: TaskState.RUNNING });
  assert.deepEqual(texts([(await next).value]), ['c@9']);
  assert.equal(at.opened.at(-1)!.tail, 0);
  await items.return?.();
});

test('a node that is lost while somebody follows is waited for, and goes on where it was', async () => {
  const at = await talking();
  async function* cut(): AsyncIterable<LogRecord> {
    yield* given(line('a', 1), line('a', 4));
    throw new SwarmError('UNREACHABLE', 'the connection to node n1 was lost');
  }
  at.logs.set('a', cut);
  at.logs.set('b', silent);
  const items = logs(at, 'web', true)[Symbol.asyncIterator]();
  const next = async (): Promise<readonly string[]> => texts([(await items.next()).value]);
  const seen = [...(await next()), ...(await next())];
  while (seen.length < 3) seen.push(...(await next()));
  assert.deepEqual(seen.slice(0, 2), ['a@1', 'a@4']);
  assert.match(seen[2]!, /logs on node n1 are missing: the connection/);
  at.unreachable.add('n1');
  at.logs.set('a', () => given(line('a', 4), line('a', 7)));
  const more = next();
  at.clock.advance(LIMITS.logAgainMs);
  await new Promise(setImmediate);
  assert.equal(at.opened.length, 2);
  at.unreachable.delete('n1');
  at.clock.advance(LIMITS.logAgainMs);
  const after = [...(await more)];
  while (after.length < 2) after.push(...(await next()));
  assert.deepEqual(after.sort(), ['# the logs on node n1 go on', 'a@7']);
  const { tail, sinceWallMs } = at.opened.at(-1)!;
  assert.deepEqual([tail, sinceWallMs], [0, 4]);
  await items.return?.();
});

test('who follows is told when another manager leads, after the lines that came', async () => {
  const at = await talking();
  async function* moved(): AsyncIterable<LogRecord> {
    yield line('a', 1);
    throw new SwarmError('NOT_LEADER', 'm2 leads now');
  }
  at.logs.set('a', moved);
  at.logs.set('b', silent);
  const items = logs(at, 'web', true)[Symbol.asyncIterator]();
  assert.deepEqual(texts([(await items.next()).value]), ['a@1']);
  await assert.rejects(items.next() as Promise<unknown>, { code: 'NOT_LEADER' });
});

test('following a task ends with its log', async () => {
  const at = await talking();
  assert.deepEqual(texts(await collect(logs(at, 'a', true, 'task'))), ['a@1', 'a@4']);
});

test('a task that never had a node has no log', async () => {
  const at = await talking();
  const service = [...at.store.view.table('service').all()][0]!;
  await at.task({ id: 'waiting', serviceId: service.id, slot: 3 });
  await assert.rejects(collect(logs(at, 'waiting')), { code: 'PRECONDITION' });
});
