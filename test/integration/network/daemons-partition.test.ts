import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Liveness, TaskState } from '../../../proto/index.ts';
import { agreed } from '../../support/overlay/checker.ts';
import { OverlayCluster, type OverlayNode } from '../../support/overlay/cluster.ts';
import { assertWithin, SLOWNESS_MAX } from '../../support/pace.ts';
import { until } from '../../support/swarm.ts';
import { missingForContainers } from '../containers/prerequisites.ts';

const missing = missingForContainers(['bridge', 'conntrack', 'setpriv']);
/** After which no node has a stale name, address, backend or port. */
const STALE_MS = 5_000;

const NODES = 5;
/** Not the usual one. */
const DATA_PORT = 4_790;

describe('a node that was cut off from the others', { skip: missing || false }, () => {
  let cluster: OverlayCluster;

  before(async () => {
    cluster = await OverlayCluster.up(NODES, [
      ...['--node-grace', '2s', '--data-path-port', String(DATA_PORT)],
    ]);
    await cluster.type('network', 'create', 'front');
    for (const name of ['a', 'b'])
      await cluster.create(name, [
        ...['--network', 'front', '--replicas', '4'],
        ...['-p', `${name === 'a' ? 8_088 : 8_089}:8000`],
      ]);
    for (const name of ['a', 'b']) await cluster.api().untilRunning(name, 4);
    await agreed(cluster, cluster.node(1), STALE_MS);
    const devices = await cluster.inRouter(cluster.node(1), 'ip -d link show type vxlan');
    assert.match(devices, new RegExp(`dstport ${DATA_PORT}`));
    assert.doesNotMatch(devices, /dstport 4799/);
  });
  after(() => cluster?.down());

  const leader = async (of: readonly OverlayNode[]): Promise<OverlayNode> => {
    const name = await Promise.any(of.map((node) => cluster.api(node).leader()));
    return cluster.nodes.find((node) => node.name === name)!;
  };
  /** In the eyes of `via`. */
  const is = (liveness: Liveness, node: OverlayNode, via: OverlayNode): Promise<boolean> =>
    until(`${node.name} to be ${liveness}`, async () => {
      const nodes = await cluster.api(via).nodes();
      const view = nodes.find((each) => each.node?.id === cluster.id(node));
      return view?.status?.liveness === liveness || undefined;
    });
  /** Takes away and adds tasks while the node can not hear of it. */
  async function cutAndChange(node: OverlayNode, replicas: number): Promise<OverlayNode> {
    await cluster.cut(node);
    const rest = cluster.others(node);
    const via = await until('another leader', async () => {
      const found = await leader(rest);
      return found === node ? undefined : found;
    });
    await is(Liveness.DOWN, node, via);
    const known = new Set((await cluster.api(via).allTasks()).map(({ task }) => task!.id));
    for (const [service, count] of [
      ['a', replicas],
      ['b', 9 - replicas],
    ] as const)
      await cluster.must(via, ['service', 'scale', '-d', `${service}=${count}`]);
    // Those of a cut-off node may be left to it for a while: only what is new has to run.
    await until('a new task', async () => {
      const tasks = await cluster.api(via).allTasks();
      const running = tasks.filter(
        ({ task, state }) => state === TaskState.RUNNING && !known.has(task!.id),
      );
      return running.length > 0 || undefined;
    });
    return via;
  }
  async function healed(node: OverlayNode, via: OverlayNode): Promise<number> {
    await cluster.heal(node);
    await is(Liveness.READY, node, via);
    return nothingStale(via);
  }
  /** In the kernels, and in the digests of the nodes beside those of the managers. Milliseconds. */
  async function nothingStale(via: OverlayNode): Promise<number> {
    const startMs = performance.now();
    const tookMs = await agreed(cluster, via, STALE_MS);
    const ask = ['network', 'doctor', '--no-probes', '--format', 'json'];
    await until(
      'digests to agree',
      async () => {
        const { stdout } = await cluster.swarm(via, ask);
        const { Nodes: nodes } = JSON.parse(stdout) as {
          Nodes: { NodeName: string; Current: boolean; Error: string }[];
        };
        const bad = nodes.filter(({ Current }) => !Current);
        if (bad.length > 0 || nodes.length < NODES) throw new Error(stdout);
        return true;
      },
      STALE_MS * SLOWNESS_MAX,
    );
    assertWithin(STALE_MS, performance.now() - startMs, 'digests agree');
    return tookMs;
  }

  it('has nothing stale five seconds after it is back', async (t) => {
    const follower = cluster.others(await leader(cluster.nodes))[0]!;
    const via = await cutAndChange(follower, 3);
    t.diagnostic(`${Math.round(await healed(follower, via))} ms`);
  });
  it('has nothing stale when it was the leader, which another one is now', async (t) => {
    const former = await leader(cluster.nodes);
    const via = await cutAndChange(former, 6);
    assert.notEqual(via, former);
    t.diagnostic(`${Math.round(await healed(former, via))} ms`);
  });
  it('nor when all daemons were killed at once and came back', async (t) => {
    await Promise.all(cluster.nodes.map((node) => cluster.kill(node)));
    await Promise.all(cluster.nodes.map((node) => cluster.start(node)));
    const via = await leader(cluster.nodes);
    for (const node of cluster.nodes) await is(Liveness.READY, node, via);
    t.diagnostic(`${Math.round(await nothingStale(via))} ms`);
  });
});
