import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NetdNameClient, type NetworkService } from '../../../proto/index.ts';
import { network } from '../router/rows.fixture.ts';
import { Clients } from './clients.ts';
import { CODE, TYPE } from './message.ts';
import { NameTable } from './name-table.ts';
import { decode, queryFor, serviceRow } from './names.fixture.ts';
import { Responder } from './responder.ts';

/** Client 10.0.9.1 is on net1, 10.0.9.2 on net2 (internal), 10.0.9.3 on both. */
function stage(...rows: readonly NetworkService[]) {
  const table = new NameTable();
  const clients = new Clients();
  const responder = new Responder(table);
  table.putNetwork(network(1));
  table.putNetwork(network(2, { internal: true }));
  for (const row of rows) table.putService(row);
  for (const [number, networkIds] of [
    [1, ['net1']],
    [2, ['net2']],
    [3, ['net2', 'net1']],
  ] as const)
    clients.put(
      NetdNameClient.create({
        taskId: `asks${number}`,
        addresses: [`10.0.9.${number}`],
        networkIds,
      }),
    );
  const ask = (
    name: string,
    type: number = TYPE.A,
    from = '10.0.9.1',
    by: 'udp' | 'tcp' = 'udp',
  ) => {
    const outcome = responder.respond(queryFor(name, type), clients.get(from), by);
    if (!(outcome instanceof Uint8Array)) return outcome === undefined ? 'nothing' : 'elsewhere';
    const { code, values } = decode(outcome);
    return code === CODE.NOERROR ? [...values].sort() : code;
  };
  return { table, clients, responder, ask };
}

const virtual = { address: '10.0.1.100', address6: 'fd00:0:0:1::100' };
const three = [
  { task: 11, slot: 1 },
  { task: 12, slot: 2 },
  { task: 13, slot: 3 },
];
const V = ['10.0.1.100'];
const TASKS = ['10.0.1.11', '10.0.1.12', '10.0.1.13'];

const table: readonly (readonly [string, string, number, string, unknown])[] = [
  ['a service with a virtual address', 'web', TYPE.A, '10.0.9.1', V],
  ['the same in other letters', 'WEB', TYPE.A, '10.0.9.1', V],
  ['with the network behind', 'web.net1', TYPE.A, '10.0.9.1', V],
  ['in IPv6', 'web', TYPE.AAAA, '10.0.9.1', ['253.0.0.0.0.0.0.1.0.0.0.0.0.0.1.0']],
  ['its tasks', 'tasks.web', TYPE.A, '10.0.9.1', TASKS],
  ['its tasks, which have no IPv6', 'tasks.web', TYPE.AAAA, '10.0.9.1', []],
  ['one task', 'web.2.t12', TYPE.A, '10.0.9.1', ['10.0.1.12']],
  ['one task with the network behind', 'web.2.t12.net1', TYPE.A, '10.0.9.1', ['10.0.1.12']],
  ['a task of another slot', 'web.1.t12', TYPE.A, '10.0.9.1', 'elsewhere'],
  ['a task of every node', 'agent.n1.t31', TYPE.A, '10.0.9.1', ['10.0.1.31']],
  ['an alias', 'www', TYPE.A, '10.0.9.1', ['10.0.1.21']],
  ['an alias with a dot', 'db.local', TYPE.A, '10.0.9.1', ['10.0.1.21']],
  ['the tasks of an alias', 'tasks.www', TYPE.A, '10.0.9.1', ['10.0.1.21']],
  ['a service without ready tasks and virtual address', 'idle', TYPE.A, '10.0.9.1', []],
  ['its task, which is not ready', 'idle.1.t41', TYPE.A, '10.0.9.1', []],
  ['a service of another network', 'hidden', TYPE.A, '10.0.9.1', 'elsewhere'],
  ['the same by the network', 'hidden.net2', TYPE.A, '10.0.9.1', 'elsewhere'],
  ['the same from that network', 'hidden', TYPE.A, '10.0.9.2', ['10.0.2.51']],
  ['a service of the second network', 'web', TYPE.A, '10.0.9.3', V],
  [
    'what is nowhere, from inside an internal network',
    'example.com',
    TYPE.A,
    '10.0.9.2',
    CODE.NXDOMAIN,
  ],
  ['the same where one network has a way out', 'example.com', TYPE.A, '10.0.9.3', 'elsewhere'],
  ['another type of a known name', 'web', 15, '10.0.9.1', []],
  ['the name of an address', '12.1.0.10.in-addr.arpa', TYPE.PTR, '10.0.9.1', ['web.2.t12.net1']],
  ['the name of a virtual address', '100.1.0.10.in-addr.arpa', TYPE.PTR, '10.0.9.1', ['web.net1']],
  ['of one that is not ready', '41.1.0.10.in-addr.arpa', TYPE.PTR, '10.0.9.1', ['idle.1.t41.net1']],
  ['of one that nobody has', '99.1.0.10.in-addr.arpa', TYPE.PTR, '10.0.9.1', CODE.NXDOMAIN],
  ['of another network', '51.2.0.10.in-addr.arpa', TYPE.PTR, '10.0.9.1', 'elsewhere'],
  ['of the world outside', '8.8.8.8.in-addr.arpa', TYPE.PTR, '10.0.9.1', 'elsewhere'],
  ['of what is no address', '300.1.0.10.in-addr.arpa', TYPE.PTR, '10.0.9.1', 'elsewhere'],
  ['asked by nobody that is known', 'web', TYPE.A, '10.0.9.77', CODE.REFUSED],
];
for (const [what, name, type, from, expected] of table)
  test(`${what}: ${name}`, () => {
    const { ask } = stage(
      serviceRow('web', 1, three, virtual),
      serviceRow('db', 1, [{ task: 21, aliases: ['www', 'DB.local'] }]),
      serviceRow('agent', 1, [{ task: 31, slot: 0 }]),
      serviceRow('idle', 1, [{ task: 41, slot: 1, ready: false }]),
      serviceRow('hidden', 2, [{ task: 51 }]),
    );
    assert.deepEqual(ask(name, type, from), expected);
    assert.deepEqual(ask(name, type, from), expected, 'the same again');
    assert.deepEqual(ask(name, type, from, 'tcp'), expected, 'over TCP');
  });

test('a task that drains is not named, and its service keeps its virtual address', () => {
  const { ask } = stage(serviceRow('web', 1, [{ task: 11, draining: true }], virtual));
  assert.deepEqual(ask('tasks.web'), []);
  assert.deepEqual(ask('web'), V);
});

test('services that share an alias are all behind it', () => {
  const { ask } = stage(
    serviceRow('blue', 1, [{ task: 11, aliases: ['app'] }], { address: '10.0.1.101' }),
    serviceRow('green', 1, [{ task: 12, aliases: ['app'] }], { address: '10.0.1.102' }),
  );
  assert.deepEqual(ask('app'), ['10.0.1.101', '10.0.1.102']);
});

test('a change is seen by the next question, and what is gone is gone', () => {
  const { table, ask } = stage(serviceRow('web', 1, three));
  assert.deepEqual(ask('web'), TASKS);
  table.putService(serviceRow('web', 1, [{ task: 12 }]));
  assert.deepEqual(ask('web'), ['10.0.1.12']);
  assert.equal(ask('11.1.0.10.in-addr.arpa', TYPE.PTR), CODE.NXDOMAIN);
  table.removeService('web/net1');
  assert.equal(ask('web'), 'elsewhere');
});

test('a task whose address another one has now asks no more', () => {
  const { clients, ask } = stage(
    serviceRow('web', 1, three),
    serviceRow('hidden', 2, [{ task: 51 }]),
  );
  clients.put(
    NetdNameClient.create({ taskId: 'new', addresses: ['10.0.9.1'], networkIds: ['net2'] }),
  );
  clients.remove('asks1');
  assert.deepEqual(ask('hidden'), ['10.0.2.51']);
});

test('each answer has the number of its query, and every task its turn to stand first', () => {
  const { responder, clients } = stage(serviceRow('web', 1, three));
  const first = new Map<string, number>();
  for (let id = 0; id < 30; id++) {
    const query = queryFor('web', TYPE.A, { id: 40_000 + id });
    const answer = responder.respond(query, clients.get('10.0.9.1'), 'udp') as Buffer;
    const { id: given, values } = decode(answer);
    assert.equal(given, 40_000 + id);
    assert.equal(values.length, 3);
    first.set(values[0]!, (first.get(values[0]!) ?? 0) + 1);
  }
  assert.deepEqual([...first.values()], [10, 10, 10]);
});

test('more addresses than a datagram holds are cut there, and whole over TCP', () => {
  const many = Array.from({ length: 200 }, (_, at) => ({ task: at + 1 }));
  const { responder, clients } = stage(serviceRow('web', 1, many));
  const client = clients.get('10.0.9.1');
  const query = queryFor('web', TYPE.A);
  const short = decode(responder.respond(query, client, 'udp') as Buffer);
  assert.ok(short.truncated && short.values.length > 20);
  const seen = new Set<string>();
  for (let n = 0; n < 64; n++)
    for (const value of decode(responder.respond(query, client, 'udp') as Buffer).values)
      seen.add(value);
  assert.equal(seen.size, 200, 'those who never ask again over TCP reach all of them as well');
  const whole = decode(responder.respond(query, client, 'tcp') as Buffer);
  assert.deepEqual([whole.truncated, whole.values.length], [false, 200]);
});

test('after any changes a name stands for what the rows that are left say', () => {
  const change = fc.record({
    name: fc.constantFrom('a', 'b', 'c'),
    net: fc.constantFrom(1, 2),
    tasks: fc.uniqueArray(fc.integer({ min: 1, max: 6 }), { maxLength: 4 }),
    ready: fc.boolean(),
    gone: fc.boolean(),
    alias: fc.constantFrom('x', 'a', 'tasks.b'),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const { table, clients, responder } = stage();
      const left = new Map<string, NetworkService>();
      const names = [
        'a',
        'b',
        'x',
        'tasks.b',
        'tasks.x',
        'c.net1',
        'a.1.t1',
        '1.1.0.10.in-addr.arpa',
      ];
      const asked = (by: Responder, name: string, from: string): unknown => {
        const outcome = by.respond(queryFor(name, TYPE.A), clients.get(from), 'udp');
        if (!(outcome instanceof Uint8Array)) return 'elsewhere';
        const { code, values } = decode(outcome);
        return { code, values: [...values].sort() };
      };
      for (const { name, net, tasks, ready, gone, alias } of changes) {
        const row = serviceRow(
          name,
          net,
          tasks.map((task) => ({ task, ready, aliases: [alias] })),
        );
        if (gone) left.delete(row.id);
        else left.set(row.id, row);
        if (gone) table.removeService(row.id);
        else table.putService(row);
        for (const each of names) asked(responder, each, '10.0.9.3');
      }
      const anew = stage(...left.values());
      for (const name of names)
        for (const from of ['10.0.9.1', '10.0.9.2', '10.0.9.3'])
          assert.deepEqual(asked(responder, name, from), asked(anew.responder, name, from), name);
    }),
    { seed: 11, numRuns: 200 },
  );
});
