import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoadBalanced, NetdRows, Protocol } from '../../../proto/index.ts';
import { NODE_ID, rowsOf } from './netd.fixture.ts';
import { wishOf } from './wish.ts';

const here = { taskId: 'here', port: 20_000, nodeId: NODE_ID };
const away = { taskId: 'away', port: 20_001, nodeId: 'node-two' };

test('an ingress port goes to the tasks of all nodes', () => {
  const wish = wishOf(rowsOf({ published: 8080, backends: [here, away] }), '10.0.0.1');
  const listener = wish.listeners.get('tcp/10.0.0.1:8080');
  assert.deepEqual(
    listener?.backends.map((backend) => backend.taskId),
    ['here', 'away'],
  );
});

test('a host port goes to the tasks of this node alone', () => {
  const rows = rowsOf({ published: 8080, hostMode: true, backends: [here, away] });
  const listener = wishOf(rows, '10.0.0.1').listeners.get('tcp/10.0.0.1:8080');
  assert.deepEqual(
    listener?.backends.map((backend) => backend.taskId),
    ['here'],
  );
});

test('a host port is not listened on without a task of this node', () => {
  const rows = rowsOf({ published: 8080, hostMode: true, backends: [away] });
  assert.equal(wishOf(rows, '10.0.0.1').listeners.size, 0);
});

test('a port that has no number yet is not listened on', () => {
  assert.equal(wishOf(rowsOf({ published: 0, backends: [here] }), '10.0.0.1').listeners.size, 0);
});

test('the address of a port comes before that of the node', () => {
  const bound = LoadBalanced.create({
    serviceName: 'hello',
    ports: [{ target: 80, published: 8080, bind: '127.0.0.9' }],
  });
  const rows = NetdRows.create({ services: [bound], nodeId: NODE_ID });
  assert.deepEqual([...wishOf(rows, '10.0.0.1').listeners.keys()], ['tcp/127.0.0.9:8080']);
});

test('a task that listens on every address is dialled at the address of its node', () => {
  const services = [
    LoadBalanced.create({
      serviceName: 'hello',
      ports: [{ target: 80, published: 8080 }],
      backends: [
        {
          taskId: 'away',
          nodeId: 'node-two',
          ports: [{ target: 80, host: '0.0.0.0', port: 20_001 }],
        },
        { taskId: 'lost', nodeId: 'unknown', ports: [{ target: 80, host: '', port: 20_002 }] },
      ],
    }),
  ];
  const nodeHosts = { 'node-two': '10.0.0.2' };
  const rows = NetdRows.create({ services, nodeId: NODE_ID, nodeHosts });
  assert.deepEqual(wishOf(rows, '10.0.0.1').listeners.get('tcp/10.0.0.1:8080')?.backends, [
    { taskId: 'away', host: '10.0.0.2', port: 20_001, draining: false },
  ]);
});

test('a container of this node has its task port here, and is dialled past it', () => {
  const near = { protocol: Protocol.TCP, host: '10.0.0.1', port: 20_001 };
  const services = [
    LoadBalanced.create({
      serviceName: 'hello',
      ports: [{ target: 80, published: 8080 }],
      backends: [
        { taskId: 'near', nodeId: NODE_ID, draining: true, ports: [{ target: 80, ...near }] },
      ],
    }),
  ];
  const dial = { dialHost: '169.254.112.2', dialPort: 20_001 };
  const taskPorts = [{ taskId: 'near', ...near, ...dial }];
  const { listeners } = wishOf(
    NetdRows.create({ services, nodeId: NODE_ID, taskPorts }),
    '10.0.0.1',
  );
  const backend = { taskId: 'near', host: '169.254.112.2', port: 20_001 };
  assert.deepEqual(listeners.get('tcp/10.0.0.1:8080')?.backends, [{ ...backend, draining: true }]);
  assert.deepEqual(listeners.get('tcp/10.0.0.1:20001')?.backends, [
    { ...backend, draining: false },
  ]);
});
