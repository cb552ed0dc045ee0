import { type Init, type NetworkPeer, PeerProbe } from '../../../proto/index.ts';
import type { ProbeOrder, ProbeResult } from '../../inside/probe.ts';
import type { Io } from '../../io.ts';
import { nodeHop, PROBE_PORT } from '../router/names.ts';
import { HOST, type Netcmd } from '../router/netcmd.ts';
import type { Surroundings } from '../router/surroundings.ts';
import { readStations, removeStations, STATIONS, stationsTable } from './stations.ts';

/** Every node answers for so long: they do not begin at the same moment. */
const PROBE_MS = 4_000;
const SPAWN_MS = 6_000;
const SMALL = 100;

export interface ProbeDeps {
  readonly io: Io;
  readonly netcmd: Netcmd;
  /** Name of the router's network namespace. */
  readonly router: string;
  readonly short: string;
  /** The helper that works in other namespaces. */
  readonly inside: { readonly execPath: string; readonly args: readonly string[] };
}

/** Sends to every other node through the overlay and tells how far that got. Throws when it can't. */
export async function probePeers(
  deps: ProbeDeps,
  around: Surroundings,
): Promise<readonly PeerProbe[]> {
  const peers = [...around.peers.values()].filter((peer) => peer !== around.self);
  const sizes = sizesOf(around.ingress?.mtu || 1_450);
  const table = stationsTable(deps.short, around.self.dataPort);
  const must = async (input: string): Promise<string> => {
    const { code, output } = await deps.netcmd.run({
      place: HOST,
      program: 'nft',
      args: input === '' ? ['-j', 'list', 'table', 'inet', STATIONS(deps.short)] : ['-f', '-'],
      input,
    });
    if (code !== 0) throw new Error(`nft: ${output.trim().split('\n')[0]}`);
    return output;
  };
  await must(table);
  try {
    const answered = await send(deps, {
      address: nodeHop(around.self.index),
      port: PROBE_PORT,
      sizes,
      peers: peers.map(({ index }) => nodeHop(index)),
      durationMs: PROBE_MS,
    });
    const stations = readStations(await must(''));
    return peers.map((peer) => probeOf(peer, sizes, answered, stations));
  } finally {
    await must(removeStations(deps.short)).catch(() => undefined);
  }
}

async function send(deps: ProbeDeps, order: ProbeOrder): Promise<ProbeResult['answered']> {
  const { execPath, args } = deps.inside;
  const { code, output } = await deps.io.run({
    command: 'nsenter',
    args: [`--net=/run/netns/${deps.router}`, execPath, ...args, 'probe', JSON.stringify(order)],
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
    timeoutMs: PROBE_MS + SPAWN_MS,
    outputBytesMax: 1 << 20,
  });
  const last = output.trim().split('\n').at(-1) ?? '';
  if (code !== 0) throw new Error(last || 'the probe did not end');
  return (JSON.parse(last) as ProbeResult).answered;
}

/** The largest that has to get through, what other underlays let through, and hardly anything. */
function sizesOf(mtu: number): readonly number[] {
  const usual = [1_410, 1_370, 1_230, 1_100].filter((size) => size < mtu);
  return [...new Set([mtu, ...usual, SMALL])];
}

function probeOf(
  { nodeId, index, dataAddress }: NetworkPeer,
  sent: readonly number[],
  answered: ProbeResult['answered'],
  stations: ReturnType<typeof readStations>,
): PeerProbe {
  const probe: Init<PeerProbe> = {
    nodeId,
    sent,
    answered: answered[nodeHop(index)] ?? [],
    left: stations.left.has(dataAddress),
    heard: stations.heard.has(dataAddress),
    passed: stations.passed.has(dataAddress),
  };
  return PeerProbe.create(probe);
}
