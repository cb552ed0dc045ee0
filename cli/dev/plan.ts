import { join } from 'node:path';
import { SwarmError } from '../../shared/errors.ts';
import { DEFAULTS } from '../../shared/limits.ts';
import { freePort } from '../free-port.ts';
import type { Environment } from '../parse/env.ts';
import { shortSocketPath } from '../socket-path.ts';
import type { DevNode } from './marker.ts';

/** Loopback addresses 127.0.77.1 to .254. */
const NODES_MAX = 254;

/** Nodes m1… and w1…, each on its own loopback address, none of them started. */
export async function planDevNodes(
  dir: string,
  managers: number,
  workers: number,
  at: { readonly env: Environment; readonly uid: number },
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
  return Promise.all(
    names.map(async (name, i): Promise<DevNode> => {
      const address = `127.0.77.${i + 1}`;
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
