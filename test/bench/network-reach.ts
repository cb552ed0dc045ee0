import { type Inhabited, OverlayCluster, PORT } from '../support/overlay/cluster.ts';
import { since, spread } from './report.ts';

const NODES = 3;
const ROUNDS = 8;
const READY_PORT = 9_000;
/** How often an agent looks whether a task is ready: half of it is in each time. */
const LOOK = '100ms';

/**
 * Real daemons and containers: from the moment in which a task listens where it is looked at, to its
 * being in its name and behind its virtual address on every node.
 */
export async function networkReach(): Promise<void> {
  const cluster = await OverlayCluster.up(NODES);
  try {
    await cluster.type('network', 'create', 'front');
    await cluster.create('asks', ['--mode', 'global', '--network', 'front']);
    const clients = await cluster.inhabit('asks', NODES);
    const names = Array.from({ length: ROUNDS }, (_, at) => `late${at + 1}`);
    const ready = ['--ready-tcp', `:${READY_PORT}`, '--ready-interval', LOOK];
    for (const name of names) await cluster.create(name, ['--network', 'front', ...ready]);
    const times = { name: [] as number[], virtual: [] as number[] };
    for (const name of names) {
      const [late] = (await cluster.inhabit(name, 1)) as [Inhabited];
      const { front } = await cluster.virtual(name);
      await late.peer.call('serve', READY_PORT);
      const startMs = performance.now();
      await Promise.all([
        everyNode(clients, times.name, startMs, async ({ peer }) => {
          const found = await peer.call<string | string[]>('resolve', `tasks.${name}`);
          return String(found) === late.addresses[0];
        }),
        everyNode(clients, times.virtual, startMs, async ({ peer }) =>
          (await peer.call('tcp', front, PORT)).startsWith(`${name}.1 `),
        ),
      ]);
    }
    spread(`reach: by name on ${NODES} nodes, looked at every ${LOOK}`, times.name, 'ms');
    spread(`reach: by virtual address on ${NODES} nodes`, times.virtual, 'ms');
  } finally {
    await cluster.down();
  }
}

async function everyNode(
  clients: readonly Inhabited[],
  times: number[],
  startMs: number,
  isThere: (client: Inhabited) => Promise<boolean>,
): Promise<void> {
  await Promise.all(
    clients.map(async (client) => {
      while (!(await isThere(client))) await new Promise((resolve) => setTimeout(resolve, 2));
    }),
  );
  times.push(since(startMs));
}
