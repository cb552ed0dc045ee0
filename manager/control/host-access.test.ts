import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type ContainerSpec,
  type Frame,
  type Init,
  TaskStreamRequest,
  TaskStreamUp,
  UpdateClusterRequest,
  UpdateServiceRequest,
} from '../../proto/index.ts';
import { SwarmError } from '../../shared/errors.ts';
import { memoryDuplex } from '../../shared/rpc/memory-duplex.fixture.ts';
import { context, Fixture } from './control.fixture.ts';

const ALLOW = 'swarm cluster update --allow-host-access';
const DEVICE = { host: '/dev/kvm', target: '/dev/kvm', permissions: 'rwm' };
const bind = (source: string) => ({ mounts: [{ type: 'bind', source, target: '/x' }] });

/** Every option that makes a container root on its host, and how its error begins. */
const WISHES: readonly (readonly [string, Init<ContainerSpec>, field: string])[] = [
  ['--privileged', { privileged: true }, 'privileged'],
  ['the capability CAP_SYS_ADMIN', { capabilityAdd: ['CAP_SYS_ADMIN'] }, 'capabilities'],
  ['the capability ALL', { capabilityAdd: ['ALL'] }, 'capabilities'],
  ['the capability net_admin', { capabilityAdd: ['net_admin'] }, 'capabilities'],
  ['the device /dev/kvm', { devices: [DEVICE] }, 'devices'],
  ['seccomp=unconfined', { seccomp: 'unconfined' }, 'seccomp'],
  ["a seccomp profile of one's own", { seccomp: '{"defaultAction":"SCMP_ACT_ALLOW"}' }, 'seccomp'],
  ['the AppArmor profile unconfined', { apparmor: 'unconfined' }, 'apparmor'],
  ['the AppArmor profile mine', { apparmor: 'mine' }, 'apparmor'],
  ['binding /etc', bind('/etc'), 'mounts'],
  ['binding /', bind('/'), 'mounts'],
  [
    'binding /etc',
    {
      mounts: [
        { type: 'volume', source: 'v', target: '/x', options: { 'volume-opt:device': '/etc' } },
      ],
    },
    'mounts',
  ],
];

async function cluster(): Promise<Fixture> {
  const fixture = new Fixture();
  await fixture.cluster();
  await fixture.node('n1');
  return fixture;
}
const create = (fixture: Fixture, container: Init<ContainerSpec>): Promise<string> =>
  fixture.create({ name: '', task: { container: { image: 'app', ...container } } });
async function allow(fixture: Fixture, allowHostAccess: boolean): Promise<void> {
  const request = { spec: { allowHostAccess }, fields: ['allow-host-access'] };
  await fixture.control.updateCluster(UpdateClusterRequest.create(request), context());
}
async function refusal(what: Promise<unknown>): Promise<SwarmError> {
  const error = await what.then(
    () => assert.fail('it was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(SwarmError.is(error), String(error));
  return error;
}

for (const [what, container, field] of WISHES)
  test(`${what} (${field}) needs the cluster's access to hosts, and the error says the way`, async () => {
    const fixture = await cluster();
    const error = await refusal(create(fixture, container));
    assert.equal(error.code, 'FORBIDDEN');
    assert.equal(error.message, `${what} makes a container root on its host`);
    assert.deepEqual([error.command, error.details['field']], [ALLOW, field]);
    const plain = await fixture.create({ name: 'plain', task: { container: { image: 'app' } } });
    const request = UpdateServiceRequest.create({
      ref: plain,
      spec: { name: 'plain', replicas: 1, task: { container: { image: 'app', ...container } } },
    });
    assert.equal(
      (await refusal(fixture.control.updateService(request, context()))).code,
      'FORBIDDEN',
    );
    await allow(fixture, true);
    await create(fixture, container);
    await fixture.control.updateService(request, context());
  });

test('what Docker gives every container is nobody to be asked for', async () => {
  const fixture = await cluster();
  const ordinary: readonly Init<ContainerSpec>[] = [
    { capabilityAdd: ['CAP_NET_RAW', 'chown'], capabilityDrop: ['ALL'] },
    { noNewPrivileges: true, readOnly: true, init: true, tty: true },
    { apparmor: 'docker-default', shmBytes: 1 << 20, cpuShares: 512, blkioWeight: 100 },
    { sysctls: { 'net.core.somaxconn': '1024' }, oomScoreAdj: -500 },
    { mounts: [{ type: 'tmpfs', target: '/x' }] },
  ];
  for (const container of ordinary) await create(fixture, container);
});

test('a directory that a node offers may be bound, nothing beside it', async () => {
  const fixture = await cluster();
  await fixture.node('n2', {}, { description: { hostname: 'n2', bindRoots: ['/srv'] } });
  await create(fixture, bind('/srv/data'));
  await create(fixture, bind('/srv'));
  for (const source of ['/srvx', '/srv/../etc'])
    assert.match((await refusal(create(fixture, bind(source)))).advice, /--bind-roots of swarmd/);
});

test('the network of a host needs the access, and takes no published ports', async () => {
  const fixture = await cluster();
  const task = { container: { image: 'app' }, networks: [{ target: 'host' }] };
  const error = await refusal(fixture.create({ name: 'a', task }));
  assert.deepEqual([error.code, error.details['field']], ['FORBIDDEN', 'networks']);
  await allow(fixture, true);
  await fixture.create({ name: 'b', task });
  const endpoint = { ports: [{ target: 80, published: 8_080 }] };
  const published = await refusal(fixture.create({ name: 'c', task, endpoint }));
  assert.deepEqual(published.details['field'], 'endpoint.ports');
});

test('a command with every right needs the access too', async () => {
  const fixture = await cluster();
  const id = await fixture.create({ name: 'web', task: { container: { image: 'app' } } });
  await fixture.running(id, 't1', 1);
  const open = async (): Promise<SwarmError | undefined> => {
    const { near, far } = memoryDuplex<Frame, TaskStreamUp>();
    const closed = new Promise<SwarmError | undefined>((resolve) => near.onClose(resolve));
    fixture.control.taskStream(far, context());
    const exec = { command: ['id'], privileged: true };
    near.send(TaskStreamUp.create({ ref: 'web', open: TaskStreamRequest.create({ exec }) }));
    const settled = new Promise<undefined>((resolve) => setImmediate(resolve, undefined));
    return Promise.race([closed, settled]);
  };
  assert.equal((await open())?.code, 'FORBIDDEN');
  await allow(fixture, true);
  assert.equal(await open(), undefined);
  assert.equal(fixture.taskStreams.at(-1)?.request.exec?.privileged, true);
});
