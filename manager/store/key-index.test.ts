import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Task } from '../../proto/index.ts';
import { SCHEMA, slotKey } from './schema.ts';
import { Table } from './tables.ts';

test('slots of services are found like any scan of all tasks would find them', () => {
  const change = fc.record({
    id: fc.constantFrom('t1', 't2', 't3', 't4', 't5'),
    gone: fc.boolean(),
    serviceId: fc.constantFrom('web', 'db'),
    slot: fc.nat(2),
    nodeId: fc.constantFrom('', 'node1', 'node2'),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (changes) => {
      const table = new Table(SCHEMA.task);
      for (const { gone, ...row } of changes)
        table.set(row.id, gone ? undefined : Task.create(row));
      const rows = [...table.all()];
      for (const serviceId of ['web', 'db', 'none']) {
        const wanted = rows.filter((row) => row.serviceId === serviceId);
        assertSame(table, 'service', serviceId, wanted);
      }
      const slots = [1, 2].map((slot) => Task.create({ serviceId: 'web', slot }));
      const nodes = ['', 'node1'].map((nodeId) => Task.create({ serviceId: 'web', nodeId }));
      for (const key of [...slots, ...nodes].map(slotKey)) {
        const wanted = rows.filter((row) => slotKey(row) === key);
        assertSame(table, 'slot', key, wanted);
      }
    }),
  );
});

function assertSame(table: Table<Task>, name: string, key: string, wanted: readonly Task[]): void {
  const ids = (found: Iterable<Task>) => [...found].map(({ id }) => id).sort();
  assert.deepEqual(ids(table.by(name, key)), ids(wanted), `${name} ${key}`);
  assert.equal(table.countBy(name, key), wanted.length, `${name} ${key}`);
}
