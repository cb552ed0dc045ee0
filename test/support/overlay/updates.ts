import type { LoadResult } from '../load.ts';
import { until } from '../swarm.ts';
import type { OverlayCluster } from './cluster.ts';
import { LoadFrom } from './load.ts';
import { nodeImage } from './node-image.ts';

const PUBLISHED = 8_100;
const IMAGE = 'test/hello:1';

export interface Updated extends LoadResult {
  readonly versions: number;
}

/**
 * Rolls so many updates through a published service of containers under load on every node, half of
 * them stop-first and half start-first. The server closes idle connections and finishes open ones.
 */
export async function updatesUnderLoad(
  cluster: OverlayCluster,
  updates: number,
  perSecondEach: number,
  onUpdate: (version: number) => void = () => undefined,
): Promise<Updated> {
  await cluster.load(IMAGE, nodeImage());
  await cluster.type('network', 'create', 'hello-net');
  const spec = ['--replicas', '4', '--update-parallelism', '2', '--drain-time', '3s'];
  const pace = ['--update-monitor', '200ms', '--update-delay', '0s'];
  const ready = ['--ready-http', ':8080/healthz', '--ready-interval', '100ms'];
  const place = ['--network', 'hello-net', '-p', `${PUBLISHED}:8080`, '-e', 'PORT=8080'];
  const words = ['service', 'create', '-q', '--name', 'hello', '--settle', '0s'];
  await cluster.type(...words, ...spec, ...pace, ...ready, ...place, IMAGE);
  const targets = cluster.nodes.map(({ ip }) => ({ host: ip, port: PUBLISHED }));
  const outside = cluster.hosts.outside;
  for (const { host, port } of targets)
    await until(`an answer of ${host}`, async () => {
      const line = `busybox wget -qO- http://${host}:${port}/`;
      return (await cluster.hosts.sh(outside, line)).code === 0 || undefined;
    });
  const load = new LoadFrom(outside, targets, perSecondEach);
  try {
    for (let version = 1; version <= updates; version++) {
      const order = version % 2 === 0 ? 'start-first' : 'stop-first';
      const change = ['--update-order', order, '--env-add', `HELLO_VERSION=v${version}`];
      await cluster.type('service', 'update', '-q', '--settle', '0s', ...change, 'hello');
      onUpdate(version);
    }
  } catch (error) {
    await load.stop();
    throw error;
  }
  const result = await load.stop();
  await cluster.type('service', 'rm', 'hello');
  const versions = new Set(
    [...result.bodies.keys()].map((body) => /version (\S+)/.exec(body)?.[1]),
  );
  return { ...result, versions: versions.size };
}
