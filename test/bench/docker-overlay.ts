import { buildImage, dockerArchive } from '../../shared/distribution/image.fixture.ts';
import { busybox } from '../../worker/runtime/containerd/containerd.fixture.ts';
import type { Hosts } from '../integration/network/hosts.ts';
import { TestDocker } from '../support/docker.ts';
import { IDLE, IMAGE } from '../support/overlay/cluster.ts';
import { run, until } from '../support/swarm.ts';

interface DockerContainer {
  readonly pid: number;
  /** On the overlay network. */
  readonly address: string;
}

/** Two dockerds as a swarm, one on each host, with a container on each at one overlay network. */
export class DockerOverlay {
  readonly containers: readonly DockerContainer[];
  readonly #engines: readonly TestDocker[];

  private constructor(engines: readonly TestDocker[], containers: readonly DockerContainer[]) {
    this.#engines = engines;
    this.containers = containers;
  }
  static async up(hosts: Hosts): Promise<DockerOverlay> {
    const engines: TestDocker[] = [];
    try {
      for (const namespace of hosts.names)
        engines.push(await TestDocker.start({ namespace, network: true }));
      const [first, second] = engines as [TestDocker, TestDocker];
      await docker(first, 'swarm', 'init', '--advertise-addr', hosts.address(1));
      const token = await docker(first, 'swarm', 'join-token', '-q', 'worker');
      const join = ['swarm', 'join', '--advertise-addr', hosts.address(2), '--token', token];
      await docker(second, ...join, `${hosts.address(1)}:2377`);
      for (const engine of engines)
        await engine.load(dockerArchive(buildImage(busybox()), [IMAGE]));
      await docker(first, 'network', 'create', '-d', 'overlay', '--attachable', 'front');
      const containers: DockerContainer[] = [];
      for (const [at, engine] of engines.entries())
        containers.push(await container(engine, `c${at + 1}`));
      return new DockerOverlay(engines, containers);
    } catch (error) {
      for (const engine of engines) await engine.stop();
      throw error;
    }
  }
  async down(): Promise<void> {
    for (const [at, engine] of this.#engines.entries()) {
      await docker(engine, 'rm', '-f', `c${at + 1}`);
      await docker(engine, 'swarm', 'leave', '--force');
      await engine.stop();
    }
  }
}

async function container(engine: TestDocker, name: string): Promise<DockerContainer> {
  // A node that has just joined hears of the network a moment later.
  await until(`the container ${name}`, async () => {
    await docker(engine, 'rm', '-f', name).catch(() => undefined);
    await docker(engine, 'run', '-d', '--name', name, '--network', 'front', IMAGE, ...IDLE);
    return true;
  });
  const form = '{{.State.Pid}} {{.NetworkSettings.Networks.front.IPAddress}}';
  const [pid, address] = (await docker(engine, 'inspect', '-f', form, name)).split(' ');
  return { pid: Number(pid), address: address! };
}

async function docker(engine: TestDocker, ...words: readonly string[]): Promise<string> {
  const ran = await run('docker', ['-H', `unix://${engine.socket}`, ...words]);
  if (ran.code !== 0) throw new Error(`docker ${words.join(' ')}: ${ran.stderr}`);
  return ran.stdout.trim();
}
