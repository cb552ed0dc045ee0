import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  GetNetworkRequest,
  type Init,
  ListRequest,
  NetworkSpec,
  NetworkState,
  Ref,
  ServiceState,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { context, Fixture } from './control.fixture.ts';
import { acceptedDefaults } from './network-defaults.ts';
import { acceptedNetwork } from './validate-network.ts';

const IMAGE = { container: { image: 'nginx' } };

async function refused(promise: Promise<unknown>, code: string, words: RegExp): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(SwarmError.is(error), String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, words);
    return true;
  });
}
function saying(fn: () => unknown): string {
  try {
    fn();
    return 'ok';
  } catch (error) {
    assert.ok(SwarmError.is(error), String(error));
    return `${error.code} ${error.message}`;
  }
}
async function create(fixture: Fixture, spec: Init<NetworkSpec>): Promise<string> {
  const request = { spec: NetworkSpec.create(spec) };
  return (await fixture.control.createNetwork(request, context())).network!.id;
}

const SPECS: readonly (readonly [string, Init<NetworkSpec>, RegExp])[] = [
  ['a name alone', { name: 'front' }, /^ok$/],
  ['no name', {}, /^INVALID_SPEC name: it is empty/],
  ['a name of each node', { name: 'host' }, /^INVALID_SPEC name: host is there already/],
  ['the ingress', { name: 'ingress' }, /^INVALID_SPEC name: ingress is there already/],
  ['another driver', { name: 'a', driver: 'macvlan' }, /^UNSUPPORTED driver/],
  ['an unknown option', { name: 'a', options: { fast: '1' } }, /^INVALID_SPEC options: "fast"/],
  ['a tiny MTU', { name: 'a', mtu: 100 }, /^INVALID_SPEC mtu: 100 bytes/],
  ['1000 bytes with IPv6', { name: 'a', mtu: 1_000, ipv6: true }, /^INVALID_SPEC mtu/],
  ['no subnet', { name: 'a', subnets: [{ cidr: '10.0.0.0' }] }, /no subnet/],
  ['a small one', { name: 'a', subnets: [{ cidr: '10.0.0.0/30' }] }, /length of 30/],
  ['loopback', { name: 'a', subnets: [{ cidr: '127.1.0.0/16' }] }, /meaning of its own/],
  ['IPv6 without --ipv6', { name: 'a', subnets: [{ cidr: 'fd00::/64' }] }, /ipv6: an IPv6 subnet/],
  [
    'subnets over each other',
    { name: 'a', subnets: [{ cidr: '10.0.0.0/16' }, { cidr: '10.0.3.0/24' }] },
    /10.0.3.0\/24 overlaps 10.0.0.0\/16/,
  ],
  [
    'a gateway elsewhere',
    { name: 'a', subnets: [{ cidr: '10.0.0.0/24', gateway: '10.0.1.1' }] },
    /gateway: "10.0.1.1" is no address/,
  ],
  [
    'a range elsewhere',
    { name: 'a', subnets: [{ cidr: '10.0.0.0/24', range: '10.0.1.0/28' }] },
    /range: "10.0.1.0\/28" is no part/,
  ],
];

test('specs are refused with the field and what is allowed', () => {
  for (const [what, spec, words] of SPECS)
    assert.match(
      saying(() => acceptedNetwork(NetworkSpec.create(spec))),
      words,
      what,
    );
});

test("Docker's options become fields, prefixes get their one form", () => {
  const spec = acceptedNetwork(
    NetworkSpec.create({
      name: 'a',
      options: { encrypted: '', 'com.docker.network.driver.mtu': '1400' },
      subnets: [{ cidr: '10.1.2.3/16', range: '10.1.9.9/24' }],
    }),
  );
  assert.deepEqual([spec.driver, spec.encrypted, spec.mtu], ['overlay', true, 1_400]);
  assert.deepEqual(
    spec.subnets.map(({ cidr, range }) => [cidr, range]),
    [['10.1.0.0/16', '10.1.9.0/24']],
  );
});

test('names and subnets are given once, and clear of what nodes route', async () => {
  const fixture = new Fixture();
  const defaults = ['0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1'];
  await fixture.node('n1', {}, { description: { routes: ['192.168.0.0/16', ...defaults] } });
  await create(fixture, { name: 'front', subnets: [{ cidr: '10.1.0.0/16' }] });
  await refused(create(fixture, { name: 'front' }), 'NAME_CONFLICT', /there is a network front/);
  const inside = { name: 'back', subnets: [{ cidr: '10.1.5.0/24' }] };
  await refused(create(fixture, inside), 'IN_USE', /overlaps 10.1.0.0\/16 of front/);
  const routed = { name: 'back', subnets: [{ cidr: '192.168.5.0/24' }] };
  await refused(create(fixture, routed), 'IN_USE', /192.168.0.0\/16, which n1 routes/);
});

test('a network that is used stays; one that nothing is on goes at once', async () => {
  const fixture = new Fixture();
  await fixture.cluster();
  await create(fixture, { name: 'front' });
  await create(fixture, { name: 'back' });
  await fixture.create({ name: 'web', task: { ...IMAGE, networks: [{ target: 'front' }] } });
  const rm = (ref: string) => fixture.control.removeNetwork(Ref.create({ ref }), context());
  await refused(rm('front'), 'IN_USE', /the service web is on the network front/);
  await refused(rm('host'), 'PRECONDITION', /not made by users/);
  await rm('back');
  const { names } = await fixture.control.pruneNetworks(ListRequest.create(), context());
  assert.deepEqual(names, []);
  await fixture.control.removeService(Ref.create({ ref: 'web' }), context());
  await rm('front');
  assert.equal(fixture.store.view.table('network').size, 0);
});

test('one that ending tasks are on goes with the last of them', async () => {
  const fixture = new Fixture();
  await fixture.cluster();
  const id = await create(fixture, { name: 'front' });
  const service = await fixture.create({
    name: 'web',
    task: { ...IMAGE, networks: [{ target: 'front' }] },
  });
  const attachments = [{ networkId: id, address: '10.0.1.2' }];
  await fixture.task({ id: 't', serviceId: service, nodeId: 'n1', attachments });
  await fixture.control.removeService(Ref.create({ ref: 'web' }), context());
  await fixture.control.removeNetwork(Ref.create({ ref: 'front' }), context());
  assert.equal(fixture.store.view.table('network').get(id)?.removing, true);
  const late = fixture.create({ name: 'x', task: { ...IMAGE, networks: [{ target: 'front' }] } });
  await refused(late, 'PRECONDITION', /is being removed/);
  const why = await fixture.control.why({ ref: 'front', kind: 'network' }, context());
  assert.match(why.summary, /is being removed: 1 task to go/);
});

test('a service keeps the names of its networks, however they were typed', async () => {
  const fixture = new Fixture();
  await fixture.cluster();
  const id = await create(fixture, { name: 'front' });
  const targets = async (...networks: string[]) => {
    const service = await fixture.create({
      name: `s${networks.length}${networks[0]}`.slice(0, 20),
      task: { ...IMAGE, networks: networks.map((target) => ({ target })) },
    });
    const row = fixture.store.view.table('service').get(service)!;
    return row.spec!.task!.networks.map(({ target }) => target);
  };
  assert.deepEqual(await targets(id.slice(0, 10)), ['front']);
  assert.deepEqual(await targets('bridge'), ['bridge']);
  await refused(targets('nope'), 'NOT_FOUND', /no network "nope"/);
  await refused(targets('ingress'), 'INVALID_SPEC', /published ports only/);
  await refused(targets('front', id), 'INVALID_SPEC', /front is given twice/);
  await refused(targets('bridge', 'front'), 'INVALID_SPEC', /bridge with other networks/);
  await refused(targets('none', 'front'), 'INVALID_SPEC', /none with other networks/);
  await refused(targets('host'), 'FORBIDDEN', /the host's network makes a container root/);
  assert.deepEqual(await targets('none'), ['none']);
});

test('what is there is listed with its use, those of each node as well', async () => {
  const fixture = new Fixture();
  await fixture.cluster();
  await fixture.node('n1');
  const id = await create(fixture, { name: 'front', labels: { a: 'b' } });
  const state = { id, index: 1, vni: 7, subnets: [{ cidr: '10.0.1.0/24', gateway: '10.0.1.1' }] };
  await fixture.store.put('networkState', 'loop', NetworkState.create(state));
  const service = await fixture.create({
    name: 'web',
    task: { ...IMAGE, networks: [{ target: 'front', aliases: ['www'] }] },
  });
  const virtualAddresses = [{ networkId: id, address: '10.0.1.2' }];
  await fixture.store.put(
    'serviceState',
    'loop',
    ServiceState.create({ id: service, runningRevision: 1, virtualAddresses }),
  );
  const attachments = [{ networkId: id, address: '10.0.1.3', aliases: ['www'] }];
  await fixture.task({ id: 't', serviceId: service, nodeId: 'n1', attachments });
  const listed = await fixture.control.listNetworks(ListRequest.create(), context());
  assert.deepEqual(
    listed.networks.map((view) => view.network!.spec!.name),
    ['bridge', 'front', 'host', 'none'],
  );
  const custom = ListRequest.create({ filters: [{ key: 'type', value: 'custom' }] });
  const [view] = (await fixture.control.listNetworks(custom, context())).networks;
  assert.deepEqual(
    [view!.services, view!.tasks, view!.addressesUsed, view!.addresses],
    [1, 1, 2, 253],
  );
  const request = GetNetworkRequest.create({ ref: 'front', verbose: true });
  const { services, network } = await fixture.control.getNetwork(request, context());
  assert.deepEqual(
    services.map((row) => [row.serviceName, row.address, row.endpoints[0]?.aliases]),
    [['web', '10.0.1.2', ['www']]],
  );
  assert.match(network!.warnings.join(), /no node of this cluster can carry overlay networks/);
});

test('pools of a new cluster are completed, and refused when they cannot be', () => {
  const defaults = acceptedDefaults(null);
  assert.deepEqual(
    [defaults.addressPools, defaults.subnetLength, defaults.dataPort],
    [['10.0.0.0/8'], 24, 4799],
  );
  const pool = (...addressPools: string[]) =>
    saying(() => acceptedDefaults({ ...defaults, addressPools }));
  assert.equal(pool('10.1.2.3/16', '192.168.0.0/16'), 'ok');
  assert.match(pool('fd00::/8'), /^INVALID_ARGUMENT --default-addr-pool fd00::\/8/);
  assert.match(pool('10.0.0.0/25'), /10.0.0.0\/25 cannot be/);
  assert.match(pool('10.0.0.0/8', '10.1.0.0/16'), /10.1.0.0\/16 cannot be/);
  assert.match(
    saying(() => acceptedDefaults({ ...defaults, dataPort: 80 })),
    /data-path-port 80/,
  );
});
