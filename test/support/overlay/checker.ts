import {
  Liveness,
  type NodeView,
  Protocol,
  PublishMode,
  type ServiceView,
  TaskState,
  type TaskView,
} from '../../../proto/index.ts';
import { INGRESS_TABLE, nodeNames } from '../../../worker/network/router/names.ts';
import { assertWithin, SLOWNESS_MAX } from '../pace.ts';
import { until } from '../swarm.ts';
import type { OverlayCluster, OverlayNode } from './cluster.ts';

/**
 * What a node's kernel should have, said in lines without the words of its engine: who is behind each
 * virtual address and published port, where each address is found, and where the host lets ports in.
 */
type Lines = readonly string[];

/** Who drains or is being stopped has these as well, and ports that are bound: more of them is not wrong. */
const MAY_HAVE_MORE = /^(own|way|door) /;

interface State {
  readonly nodes: readonly NodeView[];
  readonly tasks: readonly TaskView[];
  readonly services: readonly ServiceView[];
  /** Networks that reach between nodes without carrying traffic of their own. */
  readonly ingress: string;
}

/**
 * Compares what every node really has with what follows from the managers' state; each difference is
 * a line. Works from tasks and services alone, not from the rows that nodes are sent.
 */
async function differences(cluster: OverlayCluster, via: OverlayNode): Promise<Lines> {
  const state = await stateOf(cluster, via);
  const found = await Promise.all(
    cluster.nodes.map(async (node) => {
      const wanted = new Set(wantedOf(state, cluster.id(node)));
      const there = new Set(await foundOn(cluster, node));
      return [
        ...[...wanted]
          .filter((line) => !there.has(line))
          .map((line) => `${node.name} lacks ${line}`),
        ...[...there]
          .filter((line) => !wanted.has(line) && !MAY_HAVE_MORE.test(line))
          .map((line) => `${node.name} has ${line}`),
      ];
    }),
  );
  return found.flat().sort();
}

/** Resolves with how long it took until nothing differed; more than `withinMs` is an error. */
export async function agreed(
  cluster: OverlayCluster,
  via: OverlayNode,
  withinMs: number,
): Promise<number> {
  const startMs = performance.now();
  await until(
    'every node to have what the managers say',
    async () => {
      const lines = await differences(cluster, via);
      if (lines.length > 0) throw new Error(lines.slice(0, 12).join('\n'));
      return true;
    },
    withinMs * SLOWNESS_MAX,
  );
  const tookMs = performance.now() - startMs;
  assertWithin(withinMs, tookMs, 'every node has what the managers say');
  return tookMs;
}

async function stateOf(cluster: OverlayCluster, via: OverlayNode): Promise<State> {
  const api = cluster.api(via);
  const [nodes, tasks, services, networks] = await Promise.all([
    api.nodes(),
    api.allTasks(),
    api.services(),
    api.networks(),
  ]);
  const ingress = networks.find(({ network }) => network?.spec?.name === 'ingress')?.network?.id;
  return { nodes, tasks, services, ingress: ingress ?? 'ingress' };
}

function wantedOf(state: State, nodeId: string): Lines {
  const { services, tasks, ingress } = state;
  const alive = tasks.filter(
    ({ task, status }) =>
      task !== null &&
      task.nodeId !== '' &&
      task.state >= TaskState.ASSIGNED &&
      Math.max(task.state, status?.state ?? 0) <= TaskState.RUNNING,
  );
  const own = alive.filter(({ task }) => task!.nodeId === nodeId);
  const joined = new Set(own.flatMap(({ task }) => task!.attachments.map((at) => at.networkId)));
  const lines: string[] = [];
  for (const { task } of alive)
    for (const { networkId, address } of task!.attachments)
      if (task!.nodeId !== nodeId && joined.has(networkId) && networkId !== ingress)
        lines.push(`route ${address}`);
  for (const { task } of own)
    for (const { address } of task!.attachments) lines.push(`own ${address}`);
  for (const view of services) {
    const mine = alive.filter(({ task }) => task!.serviceId === view.service!.id);
    const good = mine.filter((each) => isGood(state, each));
    lines.push(...virtualLines(view, good, joined), ...portLines(view, good, nodeId));
  }
  return lines;
}

function virtualLines(
  { state }: ServiceView,
  good: readonly TaskView[],
  joined: ReadonlySet<string>,
): Lines {
  return (state?.virtualAddresses ?? []).flatMap(({ networkId, address }) =>
    joined.has(networkId)
      ? good.flatMap(({ task }) =>
          task!.attachments
            .filter((at) => at.networkId === networkId)
            .map((at) => `virtual ${address} to ${at.address}`),
        )
      : [],
  );
}

/** Those that all of the cluster's nodes carry. */
function portLines({ state }: ServiceView, good: readonly TaskView[], nodeId: string): Lines {
  const ports = (state?.ports ?? []).filter(
    ({ mode, bind }) => mode === PublishMode.INGRESS && bind === '',
  );
  return ports.flatMap(({ protocol, published, target }) =>
    good.flatMap(({ task }) => {
      const address = task!.attachments[0]?.address ?? '';
      const wire = protocol === Protocol.UDP ? 17 : 6;
      if (address === '') return [];
      const way = task!.nodeId === nodeId ? [] : [`way ${address}`];
      return [
        `port ${wire}/${published} to ${address}:${target}`,
        `door ${wire}/${published}`,
        ...way,
      ];
    }),
  );
}

/** It gets new connections. */
function isGood({ nodes }: State, { task, status }: TaskView): boolean {
  const node = nodes.find((view) => view.node?.id === task!.nodeId);
  return (
    status?.state === TaskState.RUNNING &&
    status.ready &&
    !task!.draining &&
    task!.desiredState <= TaskState.RUNNING &&
    isThere(node?.status?.liveness)
  );
}

function isThere(liveness: Liveness | undefined): boolean {
  return liveness === Liveness.READY || liveness === Liveness.RESTARTING;
}

type Listed = { readonly map?: { readonly elem?: readonly (readonly [unknown, unknown])[] } };

interface Route {
  readonly dst: string;
  readonly dev?: string;
  readonly gateway?: string;
}

/** Asked of the kernel itself. */
async function foundOn(cluster: OverlayCluster, node: OverlayNode): Promise<Lines> {
  const { table } = nodeNames(cluster.short(node));
  const [router, host] = await Promise.all([
    cluster.inRouter(
      node,
      'nft -j -n list map ip swarm sw_backs; nft -j -n list map ip swarm sw_pbacks; ip -j route; ' +
        `ip -j neigh show nud permanent; ip -j route show table ${INGRESS_TABLE} || true`,
    ),
    cluster.sh(node, `nft -j -n list map ip ${table} sw_ports`),
  ]);
  const [virtual, ports, routes, neighbours, ways] = router
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);
  // A way to another node is one where that node's router is known.
  const known = new Set((neighbours as Route[]).map(({ dst, dev }) => `${dst} ${dev}`));
  const leads = ({ gateway, dev }: Route): boolean => known.has(`${gateway} ${dev}`);
  const remote = (routes as Route[]).filter((each) => each.dst !== 'default' && leads(each));
  const own = (routes as Route[]).filter(({ dev }) => dev?.startsWith('swe'));
  return [
    ...elementsOf(virtual).map(([[to], backend]) => `virtual ${to} to ${backend}`),
    ...elementsOf(ports).map(
      ([[wire, port], backend]) => `port ${wire}/${port} to ${backend.replace(' ', ':')}`,
    ),
    ...remote.map(({ dst }) => `route ${dst}`),
    ...own.map(({ dst }) => `own ${dst}`),
    ...((ways ?? []) as Route[]).filter(leads).map(({ dst }) => `way ${dst}`),
    ...elementsOf(JSON.parse(host)).map(([[wire, port]]) => `door ${wire}/${port}`),
  ];
}

/** The words of each key, and its value. */
function elementsOf(listing: unknown): (readonly [readonly string[], string])[] {
  const { nftables } = listing as { readonly nftables: readonly Listed[] };
  const elements = nftables.flatMap(({ map }) => map?.elem ?? []);
  return elements.map(([key, value]) => [wordsOf(key), wordsOf(value).join(' ')]);
}

function wordsOf(value: unknown): readonly string[] {
  const isJoined = typeof value === 'object' && value !== null && 'concat' in value;
  return (isJoined ? (value.concat as readonly unknown[]) : [value]).map(String);
}
