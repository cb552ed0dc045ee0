import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Cluster, Node, Service, Task, TaskState, TaskStatus } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { SeededIds } from '../../shared/ids.ts';
import { SeededRandom } from '../../shared/random.ts';
import type { RowChange } from '../replication.ts';
import { LocalStore } from './local-store.fixture.ts';
import { PENDING_VERSION } from './view.ts';

function aStore(): { store: LocalStore; clock: ManualClock } {
  const clock = new ManualClock();
  return { store: new LocalStore({ clock, ids: new SeededIds(new SeededRandom(1)) }), clock };
}
const aTask = (id: string, serviceId: string, slot: number, nodeId = '') =>
  Task.create({ id, serviceId, slot, nodeId, desiredState: TaskState.RUNNING });

test('a row reads as pending inside its draft and with the index of its entry afterwards', async () => {
  const { store } = aStore();
  const seen = await store.update(
    (draft) => {
      draft.put('service', Service.create({ id: 'a', spec: { name: 'web' } }));
      return draft.table('service').get('a')!.version;
    },
    { writer: 'users' },
  );
  assert.equal(seen, PENDING_VERSION);
  assert.equal(store.view.table('service').get('a')!.version, 1);
});

test('a function that throws undoes itself alone', async () => {
  const { store } = aStore();
  const good = store.update((d) => d.put('service', Service.create({ id: 'a' })), {
    writer: 'users',
  });
  const bad = store.update(
    (d) => {
      d.put('service', Service.create({ id: 'b' }));
      d.emit({ kind: 'service', action: 'create', id: 'b', name: '', message: '' });
      throw new SwarmError('INVALID_SPEC', 'no');
    },
    { writer: 'users' },
  );
  await good;
  await assert.rejects(bad, { code: 'INVALID_SPEC' });
  assert.deepEqual(
    [...store.view.table('service').all()].map((s) => s.id),
    ['a'],
  );
  assert.equal(store.view.table('event').size, 0);
});

test('functions that wait together ride in one entry', async () => {
  const { store } = aStore();
  await Promise.all(
    ['a', 'b', 'c'].map((id) =>
      store.update((d) => d.put('service', Service.create({ id })), { writer: 'users' }),
    ),
  );
  assert.equal(store.view.index, 1);
  assert.equal(store.view.table('service').size, 3);
});

test('nobody but its writer puts a row', async () => {
  const { store } = aStore();
  const put = store.update((d) => d.put('taskStatus', TaskStatus.create({ id: 'a' })), {
    writer: 'users',
  });
  await assert.rejects(put, /users may not write taskStatus/);
});

test('cluster time goes on after a restart, also where no row speaks of its last moment', async () => {
  const { store, clock } = aStore();
  clock.advance(5_000);
  const disk = new Map<string, RowChange>();
  const apply = store.apply.bind(store);
  store.apply = (...entry) => {
    const rows = apply(...entry);
    for (const row of rows) disk.set(`${row.table}/${row.id}`, row);
    return rows;
  };
  await store.put('cluster', 'users', Cluster.create({ id: 'a' }));
  const restarted = aStore().store;
  await restarted.load(
    1,
    1,
    (async function* () {
      yield [...disk.values()];
    })(),
  );
  assert.equal(restarted.view.timeMs, 5_000);
  assert.ok(store.view.wallMs > 0);
  assert.equal(restarted.view.wallMs, store.view.wallMs);
});

test('a loaded state takes the place of the tables at once, when the last row is there', async () => {
  const { store } = aStore();
  await store.put('service', 'users', Service.create({ id: 'old' }));
  const ids = () => [...store.view.table('service').all()].map(({ id }) => id);
  const row = (id: string): RowChange => {
    const bytes = Service.encode(Service.create({ id }));
    return { table: 'service', id, version: 7, bytes, secret: false };
  };
  const seen: string[][] = [];
  let reloads = 0;
  store.onReload(() => reloads++);
  async function* rows() {
    for (const id of ['new', 'newer']) {
      yield [row(id)];
      seen.push(ids());
    }
    assert.equal(reloads, 0);
  }
  await store.load(9, 1, rows());
  assert.deepEqual(seen, [['old'], ['old']]);
  assert.deepEqual([ids(), store.view.index, reloads], [['new', 'newer'], 9, 1]);
});

test('a row is stored anew as it was stored', async () => {
  const { store } = aStore();
  const disk = new Map<string, RowChange>();
  const apply = store.apply.bind(store);
  store.apply = (...entry) => {
    const rows = apply(...entry);
    for (const row of rows) disk.set(`${row.table}/${row.id}`, row);
    return rows;
  };
  await store.put('cluster', 'users', Cluster.create({ id: 'a' }));
  await store.update(
    (d) => {
      d.put('service', Service.create({ id: 's', spec: { name: 'web' } }));
      d.emit({ kind: 'service', action: 'create', id: 's', name: 'web', message: '' });
    },
    { writer: 'users', requestId: 'r' },
  );
  assert.ok(disk.size >= 4);
  for (const { table, id, version, secret, bytes } of disk.values()) {
    const again = store.stored(table, id);
    assert.deepEqual(
      { ...again, bytes: Buffer.from(again!.bytes!) },
      {
        table,
        id,
        version,
        secret,
        bytes: Buffer.from(bytes!),
      },
    );
  }
  assert.equal(store.view.table('event').size, 1);
  assert.equal(store.stored('service', 'none'), undefined);
});

test('a function whose answer cannot be stored has done nothing', async () => {
  const { store } = aStore();
  const create = store.update(
    (d) => {
      d.put('service', Service.create({ id: 'a' }));
      return 1n;
    },
    { writer: 'users', requestId: 'r1' },
  );
  await assert.rejects(create, /BigInt/);
  assert.equal(store.view.table('service').size, 0);
});

test('the same request id is done once and gets the same answer', async () => {
  const { store } = aStore();
  const create = () =>
    store.update(
      (d) => {
        const id = d.newId();
        d.put('service', Service.create({ id }));
        return { id };
      },
      { writer: 'users', requestId: 'r1' },
    );
  const first = await create();
  const second = await create();
  assert.deepEqual(second, first);
  assert.equal(store.view.table('service').size, 1);
});

test('answers are forgotten ten minutes later, with the next entry', async () => {
  const { store, clock } = aStore();
  await store.update(() => 1, { writer: 'users', requestId: 'old' });
  clock.advance(10 * 60_000 + 1);
  await store.update(() => 2, { writer: 'users', requestId: 'new' });
  assert.deepEqual(
    [...store.view.table('answer').all()].map((a) => a.id),
    ['new'],
  );
});

test('a turn of the loop that changes nothing makes no entry', async () => {
  const { store } = aStore();
  await store.update(() => undefined, { writer: 'loop' });
  assert.equal(store.view.index, 0);
});

test('events of an entry are one row under its index', async () => {
  const { store } = aStore();
  await store.update(
    (d) => d.emit({ kind: 'node', action: 'update', id: 'n', name: 'n1', message: 'drained' }),
    { writer: 'loop' },
  );
  const [row] = [...store.view.table('event').all()];
  assert.equal(row!.id, '0000000000000001');
  assert.equal(row!.events[0]!.message, 'drained');
});

test('at loss of leadership what waits is certainly not done', async () => {
  const { store } = aStore();
  const waiting = store.update((d) => d.put('service', Service.create({ id: 'a' })), {
    writer: 'users',
  });
  store.lost();
  await assert.rejects(waiting, { code: 'NOT_LEADER' });
  assert.equal(store.view.table('service').size, 0);
});

test('a change over the hard limit is refused and writes nothing', async () => {
  const { store } = aStore();
  const big = 'x'.repeat(100_000);
  const put = store.update(
    (d) => {
      for (let i = 0; i < 20; i++) d.put('node', Node.create({ id: `n${i}`, name: big }));
    },
    { writer: 'users' },
  );
  await assert.rejects(put, { code: 'INVALID_SPEC' });
  assert.equal(store.view.table('node').size, 0);
});

test('a draft reads like the tables it would become', async () => {
  const ids = ['a', 'b', 'c', 'd'];
  const step = fc.record({
    id: fc.constantFrom(...ids),
    slot: fc.integer({ min: 1, max: 2 }),
    node: fc.constantFrom('', 'n1', 'n2'),
    kind: fc.constantFrom('put', 'delete', 'throw'),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { maxLength: 6 }), { maxLength: 6 }),
      async (groups) => {
        const { store } = aStore();
        for (const steps of groups) {
          let drafted = '';
          const updates = steps.map((s) =>
            store
              .update(
                (d) => {
                  if (s.kind === 'delete') d.delete('task', s.id);
                  else d.put('task', aTask(s.id, 'svc', s.slot, s.node));
                  if (s.kind === 'throw') throw new SwarmError('IN_USE', 'x');
                },
                { writer: 'loop' },
              )
              .catch(() => undefined),
          );
          const read = store.update(show, { writer: 'loop' });
          updates.push(
            read.then((text) => {
              drafted = text;
            }),
          );
          await Promise.all(updates);
          assert.equal(drafted, show(store.view));
        }
      },
    ),
    { numRuns: 200 },
  );
});

function show(view: import('./view.ts').View): string {
  const tasks = view.table('task');
  const line = (t: Task) => `${t.id}:${t.slot}:${t.nodeId}`;
  const lists = ['n1', 'n2', ''].map((n) => [...tasks.by('node', n)].map(line).sort().join());
  const counts = ['svc/1', 'svc/2'].map((s) => tasks.countBy('slot', s));
  return JSON.stringify([tasks.size, [...tasks.all()].map(line).sort(), lists, counts]);
}
