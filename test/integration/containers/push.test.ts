import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  type BuiltImage,
  buildImage,
  dockerArchive,
} from '../../../shared/distribution/image.fixture.ts';
import {
  busybox,
  ContainerdWorld,
  PrivateContainerd,
} from '../../../worker/runtime/containerd/containerd.fixture.ts';
import { DevCluster } from '../../support/dev-cluster.ts';
import { TestDocker } from '../../support/docker.ts';
import { TestRegistry } from '../../support/registry.ts';
import { until } from '../../support/swarm.ts';
import { missingForContainers } from './prerequisites.ts';

const missing = missingForContainers(['docker-registry', 'dockerd']);
const PORT = 15_083;

function imageSaying(text: string): BuiltImage {
  const script = `echo ${text}; trap "exit 0" TERM; while :; do sleep 9 & wait $!; done`;
  return buildImage({
    ...busybox(),
    config: { Env: ['PATH=/bin'], Cmd: ['/bin/sh', '-c', script] },
  });
}

describe("an image of this machine's Docker", { skip: missing || false }, () => {
  let engine: PrivateContainerd;
  let docker: TestDocker;
  let registry: TestRegistry;
  let cluster: DevCluster;

  before(async () => {
    engine = new PrivateContainerd();
    await engine.start();
    docker = await TestDocker.start();
    registry = await TestRegistry.start(PORT);
    const env = { CONTAINERD_ADDRESS: engine.socket, DOCKER_HOST: `unix://${docker.socket}` };
    cluster = await DevCluster.up(1, 1, { env });
  });
  after(async () => {
    await cluster?.down();
    await registry?.stop();
    await docker?.stop();
    await engine?.close();
  });

  async function runs(service: string, line: string): Promise<void> {
    await until(`${line} of ${service}`, async () => {
      const text = await cluster.must('m1', ['service', 'logs', '--raw', service]);
      return text.split('\n').includes(line) ? true : undefined;
    });
  }
  async function origins(): Promise<string[]> {
    const rows = await cluster.rows<{ Name: string; Origin: string }>('m1', ['image', 'ls']);
    return rows.map(({ Name, Origin }) => `${Name} ${Origin}`);
  }

  it('is pushed to the managers, and run by nodes that have no Docker', async () => {
    await docker.load(dockerArchive(imageSaying('pushed'), ['team/built:1']));
    const out = await cluster.must('m1', ['image', 'push', 'team/built:1']);
    assert.match(out, /^Pushed team\/built:1 \(sha256:/);
    assert.match(await cluster.must('m1', ['image', 'push', 'team/built:1']), /^Pushed/);
    await cluster.must('m1', ['service', 'create', '-q', '--name', 'built', 'team/built:1']);
    await runs('built', 'pushed');
    assert.deepEqual(await origins(), ['team/built:1 pushed']);
  });
  it('that no registry has is copied when a service is created, and shown as local', async () => {
    const name = `${registry.host}/mine:1`;
    await docker.load(dockerArchive(imageSaying('mine'), [name]));
    const ran = await cluster.swarm('m1', ['service', 'create', '-q', '--name', 'mine', name]);
    assert.equal(ran.code, 0, ran.stderr);
    assert.match(ran.stderr, /is in no registry: this machine's own was copied to the managers/);
    await runs('mine', 'mine');
    assert.ok((await origins()).includes(`${name} local`));
    const list = await cluster.must('m1', ['service', 'ls']);
    assert.match(list, /mine:1 \(local\)/);
  });
  it('is not taken for one of a registry that does not answer', async () => {
    const name = '127.0.0.1:1/silent:1';
    await docker.load(dockerArchive(imageSaying('silent'), [name]));
    const ran = await cluster.swarm('m1', ['service', 'create', '-d', '--name', 'silent', name]);
    assert.match(ran.stderr, /could not be pinned to a digest: can't reach 127.0.0.1:1/);
    assert.ok(!(await origins()).some((row) => row.includes('silent')));
  });
  it('may come from containerd as well', async () => {
    const world = new ContainerdWorld(engine);
    await world.load();
    const env = { CONTAINERD_NAMESPACE: `swarm-${world.nodeId.slice(0, 8)}` };
    const out = await cluster.must('m1', ['image', 'push', 'test/busybox:1'], { env });
    assert.match(out, /^Pushed test\/busybox:1/);
    await world.close();
  });
  it('that is nowhere is said so', async () => {
    const ran = await cluster.swarm('m1', ['image', 'push', 'nowhere:1']);
    assert.equal(ran.code, 3);
    assert.match(ran.stderr, /Neither Docker nor containerd here has the image nowhere:1/);
  });
});
