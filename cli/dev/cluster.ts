import {
  ControlService,
  Empty,
  InitRequest,
  JoinRequest,
  JoinTokenRequest,
  ListRequest,
  Liveness,
  LocalService,
  Role,
} from '../../proto/index.ts';
import { delay } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { openSession, probeSocket } from '../connect.ts';
import type { Context } from '../context.ts';
import { startDaemon } from '../daemon-process.ts';
import { surroundingsOf } from '../local-daemon.ts';
import { processStartTime } from '../process-identity.ts';
import type { Session } from '../session.ts';
import { type DevNode, recordDevNode } from './marker.ts';

/** How long a node may take to be ready, and a manager to vote. */
const READY_MS = 60_000;

/** Starts the daemon of a node unless it runs, and writes down its process. */
export async function startDevNode(context: Context, dir: string, node: DevNode): Promise<DevNode> {
  if ((await probeSocket(node.socket)) === 'answers') {
    const pid = await withSession(node, async (session) => (await info(session)).pid);
    return record(dir, node, pid);
  }
  const place = {
    daemon: surroundingsOf(context).installation.daemon,
    stateDir: node.stateDir,
    socket: node.socket,
    allowProcess: context.io.uid === 0,
  };
  const { pid } = await startDaemon(place, context.io.clock);
  return record(dir, node, pid);
}

function record(dir: string, node: DevNode, pid: number): DevNode {
  const started = { ...node, pid, startTime: processStartTime(pid) ?? '' };
  recordDevNode(dir, started);
  return started;
}

/**
 * Makes the started nodes one cluster: the first manager inits, the others join, managers one after
 * the other. A node that is in a cluster already is left as it is, so this can be done again after it
 * was cut off half-way.
 */
export async function formCluster(context: Context, nodes: readonly DevNode[]): Promise<void> {
  const first = nodes[0]!;
  await withSession(first, (session) => initFirst(context, session, first));
  const tokens = await withSession(first, async (session) => ({
    manager: await tokenFor(session, Role.MANAGER),
    worker: await tokenFor(session, Role.WORKER),
  }));
  const others = nodes.slice(1);
  for (const node of others.filter((candidate) => candidate.role === 'manager'))
    await joinNode(context, first, node, tokens.manager);
  const workers = others.filter((candidate) => candidate.role === 'worker');
  await Promise.all(workers.map((node) => joinNode(context, first, node, tokens.worker)));
}

async function initFirst(context: Context, session: Session, node: DevNode): Promise<void> {
  if ((await info(session)).state !== 'none') return;
  const address = `${node.address}:${node.port}`;
  await session.write(
    LocalService.init,
    InitRequest.create({
      advertiseAddress: address,
      listenAddress: address,
      publishAddress: node.address,
      allowProcess: context.io.uid === 0,
      nodeName: node.name,
    }),
  );
}

async function tokenFor(session: Session, role: Role): Promise<string> {
  const request = JoinTokenRequest.create({ role });
  return (await session.read(ControlService.joinToken, request)).token;
}

async function joinNode(
  context: Context,
  first: DevNode,
  node: DevNode,
  token: string,
): Promise<void> {
  await withSession(node, async (session) => {
    if ((await info(session)).state !== 'none') return;
    const address = `${node.address}:${node.port}`;
    const request = JoinRequest.create({
      managers: [`${first.address}:${first.port}`],
      token,
      advertiseAddress: address,
      listenAddress: address,
      publishAddress: node.address,
      allowProcess: context.io.uid === 0,
      nodeName: node.name,
    });
    await session.write(LocalService.join, request);
    context.io.err(`${node.name} joined\n`);
  });
}

/** Resolves when every node is ready and every manager votes. */
export async function waitUntilReady(context: Context, nodes: readonly DevNode[]): Promise<void> {
  const { clock } = context.io;
  const endMs = clock.monotonicMs() + READY_MS;
  await withSession(nodes[0]!, async (session) => {
    for (;;) {
      const missing = await notReady(session, nodes);
      if (missing.length === 0) return;
      if (clock.monotonicMs() > endMs) {
        throw new SwarmError('NOT_CONVERGED', `Not ready within 60 s: ${missing.join(', ')}.`, {
          advice: 'Their logs are swarmd.log in their state directories.',
          command: 'swarm --via m1 node ls',
        });
      }
      await delay(clock, 100);
    }
  });
}

async function notReady(session: Session, nodes: readonly DevNode[]): Promise<readonly string[]> {
  const listed = await session
    .read(ControlService.listNodes, ListRequest.create())
    .catch(() => null);
  return nodes
    .filter((node) => {
      const view = listed?.nodes.find((candidate) => candidate.node?.name === node.name);
      if (view?.status?.liveness !== Liveness.READY) return true;
      return node.role === 'manager' && view.member?.phase !== 'voter';
    })
    .map((node) => node.name);
}

export async function withSession<T>(
  node: DevNode,
  act: (session: Session) => Promise<T>,
): Promise<T> {
  const session = await openSession(node.socket);
  try {
    return await act(session);
  } finally {
    session.close();
  }
}

function info(session: Session) {
  return session.read(LocalService.info, Empty.create());
}
