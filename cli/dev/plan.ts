import { join } from 'node:path';
import { SwarmError } from '../../shared/errors.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import { canListen, freePort } from '../free-port.ts';
import { shortSocketPath } from '../socket-path.ts';
import type { DevNode } from './marker.ts';
import { type ClaimsAt, claimNetwork, devAddress } from './networks.ts';

/** As many as a network of `devAddress` has. */
const NODES_MAX = 254;
const NETWORK_FIRST = 77;
const NETWORKS = 20;

/** Nodes m1… and w1…, each on its own loopback address, none of them started. */
export async function planDevNodes(
  dir: string,
  managers: number,
  workers: number,
  at: ClaimsAt & { readonly uid: number },
): Promise<readonly DevNode[]> {
  if (managers < 1 || managers + workers > NODES_MAX) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `A cluster has at least 1 manager and here at most ${NODES_MAX} nodes.`,
      { command: 'swarm dev up --managers 3 --workers 2' },
    );
  }
  const names = [
    ...Array.from({ length: managers }, (_, i) => `m${i + 1}`),
    ...Array.from({ length: workers }, (_, i) => `w${i + 1}`),
  ];
  const network = await freeNetwork(names.length, dir, at);
  return Promise.all(
    names.map(async (name, i): Promise<DevNode> => {
      const address = devAddress(network, i);
      return {
        name,
        role: name.startsWith('m') ? 'manager' : 'worker',
        address,
        port: await freePort(address, DEFAULTS.controlPort),
        stateDir: join(dir, name),
        socket: shortSocketPath(join(dir, name), `${name}.sock`, at.env, at.uid),
        pid: 0,
        startTime: '',
      };
    }),
  );
}

/**
 * The first one of which no address is in use and which no other cluster has, stopped ones included.
 * Where 2377 is taken on all of them (by a daemon that listens everywhere) it is the first, and its
 * nodes have other ports.
 */
async function freeNetwork(nodes: number, dir: string, at: ClaimsAt): Promise<number> {
  for (let network = NETWORK_FIRST; network < NETWORK_FIRST + NETWORKS; network++) {
    const addresses = Array.from({ length: nodes }, (_, i) => devAddress(network, i));
    const free = await Promise.all(
      addresses.map((address) => canListen(address, DEFAULTS.controlPort)),
    );
    if (free.every((each) => each) && claimNetwork(at, network, dir)) return network;
  }
  return NETWORK_FIRST;
}
