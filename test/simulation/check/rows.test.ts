import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Rows, revisionKey, type TableName } from '../../../manager/store/schema.ts';
import { Tables } from '../../../manager/store/tables.ts';
import type { AppliedEntry, Change } from '../../../manager/store/view.ts';
import {
  Availability,
  Cluster,
  EventRow,
  Node,
  NodeStatus,
  Protocol,
  ServiceRevision,
  ServiceState,
  Task,
  TaskState,
  TaskStatus,
} from '../../../proto/index.ts';
import { appendToRegister, leaveToken, writeRegister } from '../cluster/registers.ts';
import type { Checker } from './checker.ts';
import { checkRegisters, checkTasks } from './rows.ts';

/** What is found in these rows, all of one entry. */
function found(rows: readonly (readonly [TableName, Rows[TableName]])[]): string[] {
  const tables = new Tables();
  const changes = rows.map(([table, after]): Change => {
    const before = tables.table(table).set(after.id, after as never);
    return { table, id: after.id, before, after } as Change;
  });
  const said: string[] = [];
  const checker = { fail: (what: string) => said.push(what) } as unknown as Checker;
  const entry: AppliedEntry = { index: 1, term: 1, timeMs: 0, changes };
  checkTasks(tables, entry, checker);
  checkRegisters(entry, checker);
  return said;
}

const attachments = [{ networkId: 'net', address: '10.0.0.2' }];
const task = (id: string, more: Parameters<typeof Task.create>[0] = {}): [TableName, Task] => [
  'task',
  Task.create({
    id,
    serviceId: 's',
    revision: 1,
    nodeId: 'n',
    desiredState: TaskState.READY,
    ...more,
  }),
];
const status = (id: string, state: TaskState): [TableName, TaskStatus] => [
  'taskStatus',
  TaskStatus.create({ id, state }),
];

test('a task that goes back, or comes back from its end, is seen', () => {
  for (const [was, is] of [
    [TaskState.FAILED, TaskState.RUNNING],
    [TaskState.RUNNING, TaskState.READY],
  ] as const) {
    const rows = [status('t', was), status('t', is)];
    assert.match(found(rows)[0]!, /task t went back from state/);
    assert.deepEqual(found([...rows].reverse()), []);
  }
});

test('a task that ends twice, in different ways, is seen', () => {
  const rows = [status('t', TaskState.COMPLETE), status('t', TaskState.FAILED)];
  assert.match(found(rows)[0]!, /task t ended in state/);
  assert.deepEqual(found([rows[0]!, rows[0]!]), []);
});

test('a port that two services have is seen, unless their protocols differ', () => {
  const service = (id: string, protocol: Protocol): [TableName, ServiceState] => [
    'serviceState',
    ServiceState.create({ id, ports: [{ protocol, target: 80, published: 8080 }] }),
  ];
  assert.deepEqual(found([service('a', Protocol.TCP), service('b', Protocol.TCP)]), [
    'port 8080 is given to a and b',
  ]);
  assert.deepEqual(found([service('a', Protocol.TCP), service('b', Protocol.UDP)]), []);
});

test('an address that two live tasks have is seen, not one of an ended task', () => {
  const both = [task('a', { attachments }), task('b', { attachments })];
  assert.deepEqual(found(both), ['address 10.0.0.2 is given to a and b']);
  assert.deepEqual(found([status('a', TaskState.FAILED), ...both]), []);
});

test('an address of a service that a task has as well is seen', () => {
  const state = ServiceState.create({ id: 's', virtualAddresses: attachments });
  const rows = [['serviceState', state] as const, task('a', { attachments })];
  assert.deepEqual(found(rows), ['address 10.0.0.2 is given to s and a']);
});

test('a node that gives more than it has is seen', () => {
  const spec = { task: { reservations: { nanoCpus: 3 } } };
  const revision = ServiceRevision.create({ id: revisionKey('s', 1), serviceId: 's', spec });
  const node = NodeStatus.create({ id: 'n', description: { resources: { nanoCpus: 5 } } });
  const rows = [['serviceRevision', revision] as const, ['nodeStatus', node] as const, task('a')];
  assert.deepEqual(found(rows), []);
  assert.deepEqual(found([...rows, task('b')]), ['n gives 6 nanocpus of 5']);
});

test('a task that is sent to a drained node is seen, unless it was drained in the same entry', () => {
  const drained = (version: number): [TableName, Node] => [
    'node',
    Node.create({ id: 'n', availability: Availability.DRAIN, version }),
  ];
  assert.deepEqual(found([drained(0), task('a')]), ['task a is sent to n, which is drained']);
  assert.deepEqual(found([drained(1), task('a')]), []);
});

test('a field of a newer release that is lost on its way is seen', () => {
  const rows: [TableName, Rows[TableName]][] = [];
  const draft = {
    table: () => ({ get: () => rows.findLast(([name]) => name === 'cluster')?.[1] }),
    put: (name: TableName, row: Rows[TableName]): void => {
      rows.push([name, row]);
    },
    emit: (event: object): void => {
      rows.push(['event', EventRow.create({ id: 'e', events: [event] })]);
    },
  } as never;
  writeRegister(draft, 'r0', 'c1', true);
  leaveToken(draft, 'c1', true);
  appendToRegister(draft, 'r0', 'c2', false);
  leaveToken(draft, 'c2', false);
  assert.deepEqual(found(rows), []);
  const without = (clusterId: string): [TableName, Cluster] => [
    'cluster',
    Cluster.create({ id: 'r0', clusterId }),
  ];
  const lost = /register r0 at 1 has "" of a newer release, not "c1"/;
  assert.match(found([...rows, without('c1 c2 c3')])[0]!, lost, 'by an older one');
  assert.match(found([without('c1'), ...rows.slice(1)])[0]!, lost, 'by itself');
});
