import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type CreateNetworkRequest,
  DiagnoseNetworkResponse,
  Empty,
  GetNetworkResponse,
  type Init,
  ListNetworksResponse,
  NetworkView,
  PruneNetworksResponse,
} from '../../../proto/index.ts';
import { SwarmError } from '../../../shared/errors.ts';
import { RecordedIo } from '../../testing/recorded-io.ts';
import { runCli } from '../../testing/run-cli.ts';

const front: Init<NetworkView> = {
  network: {
    id: 'a1b2c3d4e5f6g7h8i9j0k1l2m',
    spec: { name: 'front', driver: 'overlay', encrypted: true },
  },
  state: {
    index: 2,
    vni: 1_048_578,
    mtu: 1_370,
    subnets: ['10.0.1.0/24', '10.0.2.0/24', '10.0.3.0/24'].map((cidr) => ({
      cidr,
      gateway: cidr.replace('0/24', '1'),
    })),
  },
  services: 1,
  tasks: 2,
  addressesUsed: 3,
  addresses: 759,
};
const host: Init<NetworkView> = {
  network: { id: 'host', spec: { name: 'host', driver: 'host' } },
  predefined: true,
};

const OLD = { serviceName: 'web', address: '10.0.1.2' };

test('network ls shows subnets, use and what a network waits for', async () => {
  const waiting: Init<NetworkView> = {
    network: { id: 'z', spec: { name: 'more', driver: 'overlay' } },
    state: { problem: 'network-problem|used up' },
  };
  const { out } = await runCli(['network', 'ls'], {
    ListNetworks: () => ListNetworksResponse.create({ networks: [front, host, waiting] }),
  });
  assert.equal(
    out,
    'NETWORK ID     NAME    DRIVER    SCOPE   SUBNETS                              ADDRESSES   SERVICES   STATUS\n' +
      'a1b2c3d4e5f6   front   overlay   swarm   10.0.1.0/24 10.0.2.0/24 and 1 more   3/759       1          ready\n' +
      'host           host    host      local\n' +
      'z              more    overlay   swarm                                        0/0         0          used up\n',
  );
});

test('network create sends what the flags say, gateways and ranges with their subnets', async () => {
  const argv = ['network', 'create', '--subnet', '10.1.0.0/16', '--subnet', '10.2.0.0/16'];
  const more = ['--gateway', '10.1.0.9', '-o', 'encrypted', '-o', 'mtu=1400', '--ipv6', 'front'];
  const { out, err, client } = await runCli([...argv, ...more], {
    CreateNetwork: () => NetworkView.create({ ...front, warnings: ['no node can'] }),
  });
  assert.equal(out, 'a1b2c3d4e5f6g7h8i9j0k1l2m\n');
  assert.equal(err, 'WARNING: no node can\n');
  const { spec } = client.requestsOf('CreateNetwork')[0] as CreateNetworkRequest;
  assert.deepEqual(
    spec!.subnets.map(({ cidr, gateway }) => [cidr, gateway]),
    [
      ['10.1.0.0/16', '10.1.0.9'],
      ['10.2.0.0/16', ''],
    ],
  );
  assert.deepEqual(spec!.options, { encrypted: '', mtu: '1400' });
  assert.equal(spec!.ipv6, true);
  const alone = await runCli(['network', 'create', '--gateway', '10.1.0.1', 'front']);
  assert.match(alone.err, /--gateway has no --subnet/);
  assert.equal(alone.code, 2);
});

test('network inspect --verbose names services, endpoints, and what nodes have of them', async () => {
  const { out } = await runCli(['network', 'inspect', '--pretty', '--verbose', 'front'], {
    GetNetwork: () =>
      GetNetworkResponse.create({
        network: front,
        services: [
          {
            serviceName: 'web',
            address: '10.0.1.2',
            endpoints: [
              { taskId: 't1', nodeId: 'id1', slot: 1, address: '10.0.1.3', ready: true },
              { taskId: 't2', nodeId: 'id9', slot: 2, address: '10.0.1.4', draining: true },
            ],
          },
        ],
      }),
    DiagnoseNetwork: () =>
      DiagnoseNetworkResponse.create({
        nodes: [
          {
            nodeId: 'id1',
            nodeName: 'n1',
            current: true,
            network: { index: 9, digest: Buffer.from('abcdef') },
          },
          { nodeName: 'n2', stale: ['web'], network: { index: 4, services: [OLD] } },
          { nodeName: 'n3', error: 'it has no session' },
        ],
      }),
  });
  assert.match(out, /Node n1: current, index 9, digest 616263646566\n/);
  assert.match(out, /Node n2: STALE, index 4, digest , other rows of web\n {2}web: 10.0.1.2\n/);
  assert.match(out, /Node n3: no answer: it has no session\n$/);
  assert.match(out, /Addresses: +3\/759\nMTU: +1370\nVXLAN id: +1048578\nOptions: +encrypted/);
  assert.match(out, /web: 10.0.1.2\n {2}web.1 t1 10.0.1.3 ready on n1\n/);
  assert.match(out, /\n {2}web.2 t2 10.0.1.4 draining on id9\n/);
});

test('network rm goes on after an error; -f takes one that is not there for removed', async () => {
  const answers = {
    RemoveNetwork: ({ ref }: { ref: string }) => {
      if (ref === 'gone') throw new SwarmError('NOT_FOUND', 'no network "gone"');
      return Empty.create();
    },
  };
  const plain = await runCli(['network', 'rm', 'gone', 'front'], answers);
  assert.deepEqual([plain.code, plain.out], [3, 'front\n']);
  const forced = await runCli(['network', 'rm', '-f', 'gone'], answers);
  assert.deepEqual([forced.code, forced.out], [0, 'gone\n']);
});

test('network prune names what it removed', async () => {
  const { out, client } = await runCli(['network', 'prune', '-f', '--filter', 'until=1h'], {
    PruneNetworks: () => PruneNetworksResponse.create({ names: ['back', 'front'] }),
  });
  assert.equal(out, 'Removed networks:\nback\nfront\n');
  const [request] = client.requestsOf('PruneNetworks') as { filters: { value: string }[] }[];
  assert.match(request!.filters[0]!.value, /^-?\d+$/);
});

test('what is pruned has to be agreed to, by somebody or by -f', async () => {
  const answers = { PruneNetworks: () => PruneNetworksResponse.create({ names: ['back'] }) };
  for (const [typed, code, calls] of [
    ['no', 1, 0],
    ['', 1, 0],
    ['Yes', 0, 1],
  ] as const) {
    const io = new RecordedIo();
    io.typed = [typed];
    const ran = await runCli(['network', 'prune'], answers, io);
    assert.deepEqual([ran.code, ran.client.requestsOf('PruneNetworks').length], [code, calls]);
    assert.equal(ran.err.includes('Nothing was removed.'), code === 1);
  }
  const io = new RecordedIo();
  io.terminal.hasKeyboard = false;
  const ran = await runCli(['network', 'prune'], answers, io);
  assert.equal(ran.code, 2);
  assert.match(ran.err, /Give -f to do it without being asked/);
});

test('network doctor shows nodes and faults with their fixes, and its exit code says so', async () => {
  const probes = [{ nodeId: 'b', sent: [1_450, 100], answered: [100] }];
  const network = { tier: 'overlay', device: 'eth0', mtu: 1_500, probes };
  const fault = { severity: 'error', check: 'mtu', nodeName: 'n1', text: 'packets are lost' };
  const note = { severity: 'note', check: 'kernel', nodeName: 'n2', text: 'it has no nft' };
  const nodes = [
    { nodeName: 'n1', current: true, network },
    { nodeName: 'n2', network: { tier: 'proxy' } },
    { nodeName: 'n3', error: 'no session' },
  ];
  const findings = [{ ...fault, advice: 'Make it fit.', command: 'ip link' }, note];
  const { out, code } = await runCli(['network', 'doctor'], {
    DiagnoseNetwork: () => DiagnoseNetworkResponse.create({ nodes, findings }),
  });
  assert.equal(code, 1);
  assert.equal(
    out,
    'NODE   CARRIES    DEVICE   MTU    ROWS      PATHS    STATE\n' +
      'n1     networks   eth0     1500   current   0 of 1   as it should be\n' +
      'n2     nothing                                       proxy tier\n' +
      'n3                                                   no answer\n' +
      '\nERROR n1: packets are lost\n  Make it fit.\n    ip link\n' +
      '\nNOTE n2: it has no nft\n\n1 thing is wrong.\n',
  );
  const fine = await runCli(['network', 'doctor', 'n2', '--no-probes', '--format', 'json'], {
    DiagnoseNetwork: () => DiagnoseNetworkResponse.create({ findings: [note] }),
  });
  assert.equal(fine.code, 0);
  assert.equal(JSON.parse(fine.out).Findings[0].Check, 'kernel');
});
