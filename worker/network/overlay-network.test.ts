import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ListenFailure, Protocol } from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { FakeNetwork } from '../agent/network.fixture.ts';
import type { LocalEndpoint } from './container-network.ts';
import type { NamesWish } from './names/names-feed.ts';
import type { NetworkRows } from './network.ts';
import { OverlayNetwork } from './overlay-network.ts';
import { nodeNames } from './router/names.ts';
import type { PlanInput } from './router/plan.ts';
import {
  endpoint,
  INGRESS,
  network as networkRow,
  peer,
  published,
  service,
} from './router/rows.fixture.ts';

type Overlay = NonNullable<PlanInput['overlay']>;

/** A kernel that is brought to its rows when the test says so. */
class FakeRouter {
  readonly given: { readonly overlay: Overlay; readonly index: number }[] = [];
  readonly calls: string[] = [];
  readonly containers = new Set<string>();
  readonly names = nodeNames('node1000');
  endpoints: readonly LocalEndpoint[] = [];
  opens = true;
  #endpointsFn: () => void = () => undefined;
  #fn: (index: number) => void = () => undefined;

  setOverlay(overlay: PlanInput['overlay'], index: number): void {
    this.given.push({ overlay: overlay!, index });
  }
  onSettled(fn: (index: number) => void): void {
    this.#fn = fn;
  }
  onEndpoints(fn: () => void): void {
    this.#endpointsFn = fn;
  }
  come(...endpoints: readonly LocalEndpoint[]): void {
    this.endpoints = endpoints;
    this.#endpointsFn();
  }
  async open(): Promise<void> {
    if (!this.opens) throw new Error('the kernel refuses');
  }
  async settle(): Promise<string> {
    return '';
  }
  settled(index: number): void {
    this.#fn(index);
  }
  has(taskId: string): boolean {
    return this.containers.has(taskId);
  }
  async close(): Promise<void> {
    this.calls.push('close');
  }
  async destroy(): Promise<void> {
    this.calls.push('destroy');
  }
  refused(): string[] {
    return [...this.given.at(-1)!.overlay.publishing.refused].sort();
  }
}

/** Also keeps what it was last told of names. */
class FakeProxy extends FakeNetwork {
  names: NamesWish | undefined;

  override apply(given: NetworkRows, names = this.names): void {
    this.names = names;
    super.apply(given);
  }
  setNames(names: NamesWish | undefined): void {
    this.names = names;
  }
}

function stage(publishAddress = '') {
  const clock = new ManualClock();
  const proxy = new FakeProxy();
  proxy.immediate = false;
  const router = new FakeRouter();
  const network = new OverlayNetwork({ proxy, router, clock, publishAddress });
  const told: [number, number][] = [];
  network.onApplied((index, failures) => told.push([index, failures.length]));
  return { clock, proxy, router, network, told };
}

const rows = (index: number, ...ports: readonly number[]): NetworkRows => ({
  index,
  peers: [peer(1)],
  networks: [INGRESS],
  networkServices: [],
  services: [published(1, [1], { ports: ports.map((port) => ({ target: 80, published: port })) })],
});

test('ports that were published before the daemon came stay in the kernel', () => {
  const { router, network } = stage('192.0.2.1');
  network.apply(rows(1, 8_080));
  assert.deepEqual(router.refused(), []);
  assert.equal(router.given[0]!.overlay.publishing.address, '192.0.2.1');
  assert.equal(router.given[0]!.index, 1);
});

test('a new port goes through the kernel only once the proxy holds it', () => {
  const { proxy, router, network } = stage();
  network.apply(rows(1, 8_080));
  network.apply(rows(2, 8_080, 8_081));
  assert.deepEqual(router.refused(), ['tcp/8081']);
  proxy.complete();
  assert.deepEqual(router.refused(), []);
});

test('a proxy that says nothing holds a new port back for two seconds and no longer', () => {
  const { clock, router, network } = stage();
  network.apply(rows(1, 8_080));
  network.apply(rows(2, 8_080, 8_081));
  clock.advance(1_999);
  assert.deepEqual(router.refused(), ['tcp/8081']);
  clock.advance(1);
  assert.deepEqual(router.refused(), []);
});

test('a port that somebody else has is not taken away from them, and is told', () => {
  const { proxy, router, network, told } = stage();
  network.apply(rows(1, 8_080));
  proxy.failures = [ListenFailure.create({ protocol: Protocol.TCP, port: 8_080 })];
  proxy.complete();
  assert.deepEqual(router.refused(), ['tcp/8080']);
  router.settled(1);
  assert.deepEqual(told, [[1, 1]]);
  proxy.failures = [];
  proxy.complete();
  assert.deepEqual(router.refused(), []);
  assert.deepEqual(told.at(-1), [1, 0]);
});

test('rows are in effect when both the kernel and the proxy have them, and this is told once', () => {
  const { proxy, router, network, told } = stage();
  network.apply(rows(1));
  router.settled(1);
  assert.deepEqual(told, []);
  proxy.complete();
  router.settled(1);
  assert.deepEqual(told, [[1, 0]]);
  network.apply(rows(2));
  proxy.complete();
  assert.deepEqual(told, [[1, 0]]);
  router.settled(2);
  assert.deepEqual(told, [
    [1, 0],
    [2, 0],
  ]);
});

test('a kernel that refuses is tried again with the next rows', async () => {
  const { router, network } = stage();
  router.opens = false;
  network.apply(rows(1));
  await Promise.resolve();
  router.opens = true;
  network.apply(rows(2));
  assert.equal(router.given.at(-1)!.index, 2);
});

test('connections of containers are those of their own namespace, of processes those of the proxy', async () => {
  const { proxy, router, network } = stage();
  proxy.connections.set('process', 3);
  proxy.connections.set('container', 4);
  router.containers.add('container');
  assert.equal(await network.openConnections('process', process.pid), 3);
  assert.equal(typeof (await network.openConnections('container', process.pid)), 'number');
  // It has ended, or never began.
  assert.equal(await network.openConnections('container', 0), 4);
});

test('to stop leaves everything; to leave takes the proxy down before the namespace it is in', async () => {
  const { proxy, router, network } = stage();
  await network.stop();
  assert.deepEqual(router.calls, ['close']);
  assert.equal(proxy.destroyed, false);
  await network.destroy();
  assert.deepEqual(router.calls, ['close', 'destroy']);
  assert.equal(proxy.destroyed, true);
});

test('names are given where a container asks for them, with the rows and with containers that come', () => {
  const { proxy, router, network } = stage();
  const networks = [networkRow(1)];
  const networkServices = [service(1, [1])];
  network.apply({ ...rows(1), networks, networkServices });
  assert.deepEqual([proxy.names], [undefined]);
  const asks = endpoint(1);
  router.come(asks, endpoint(2, { names: false }));
  const expected = { router: 'swr-node1000', networks, services: networkServices };
  assert.deepEqual(proxy.names, { ...expected, clients: [asks] });
  network.apply({ ...rows(2), networks, networkServices: [] });
  assert.deepEqual(proxy.names?.services, []);
  router.come();
  assert.equal(proxy.names, undefined);
});
