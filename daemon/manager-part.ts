import { openLevel, systemDisk } from '../manager/database/index.ts';
import { BlobStore } from '../manager/images/blob-store.ts';
import { registryLookup } from '../manager/images/registry-lookup.ts';
import {
  askManagers,
  type JoiningDeps,
  joinManagers,
  type MembershipWatch,
} from '../manager/joining.ts';
import { Manager } from '../manager/manager.ts';
import { tcpProbe, wipeMember } from '../manager/raft/index.ts';
import {
  CaService,
  ControlService,
  DispatcherService,
  ImagesService,
  RaftService,
} from '../proto/index.ts';
import { Backoff } from '../shared/backoff.ts';
import { type Clock, delay } from '../shared/clock.ts';
import { Registry } from '../shared/distribution/registry.ts';
import { messageOf, SwarmError } from '../shared/errors.ts';
import type { IdSource } from '../shared/ids.ts';
import { LIMITS } from '../shared/limits.ts';
import type { Log } from '../shared/log.ts';
import type { Random } from '../shared/random.ts';
import { dial } from '../shared/rpc/client.ts';
import { RpcServer } from '../shared/rpc/server.ts';
import type { LiveIdentity } from '../shared/tls/live-identity.ts';
import { SystemIo } from '../worker/system-io.ts';
import { parseHostPort } from './address.ts';
import { letHeapGrow } from './engine.ts';
import type { NodePaths } from './paths.ts';
import { checkPortFree } from './port-check.ts';

export interface ManagerPartOptions {
  readonly raftDir: string;
  readonly imagesDir: string;
  readonly listenAddress: string;
  readonly advertiseAddress: string;
}

export interface ManagerPartDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: IdSource;
  readonly log: Log;
  readonly live: LiveIdentity;
  /** host:port of managers that this node knows. */
  managers(): readonly string[];
  /** The tables are there; no other manager has been spoken to yet. */
  loaded(manager: Manager): Promise<void>;
  /** A broken invariant or a failed write: the process must end. */
  onFatal(error: SwarmError): void;
  /** This member was removed from the managers. */
  onRemoved(): void;
  /** Why it takes so long: told while it goes on trying. */
  onWaiting(problem: SwarmError): void;
}

const PROBE_MS = 2_000;
const JOIN_RETRY_MIN_MS = 100;
const JOIN_RETRY_MAX_MS = 2_000;

/** The manager of a node that is one: its control port, its state, and how it comes and goes. */
export class ManagerPart {
  readonly manager: Manager;
  readonly #server: RpcServer;
  readonly #membership: MembershipWatch;

  private constructor(manager: Manager, server: RpcServer, membership: MembershipWatch) {
    this.manager = manager;
    this.#server = server;
    this.#membership = membership;
  }

  /** Starts from the state on disk; where there is none, or a damaged one, joins as a new member. */
  static async start(
    options: ManagerPartOptions,
    deps: ManagerPartDeps,
    stop: AbortSignal,
  ): Promise<ManagerPart> {
    const { log } = deps;
    let manager: Manager | undefined;
    const server = new RpcServer({
      clock: deps.clock,
      log: log.child({ part: 'rpc' }),
      authorizer: {
        nodeRole: (nodeId) => manager?.authorizer.nodeRole(nodeId),
        isBehind: () => manager?.authorizer.isBehind?.() ?? false,
      },
    });
    const { host, port } = parseHostPort(options.listenAddress);
    await checkPortFree(options.listenAddress);
    letHeapGrow(true);
    await server.listenTls(host, port, deps.live.serverCredentials());
    try {
      const opened = await openOrJoin(options, deps, stop);
      manager = opened;
      const { handlers } = opened;
      server.addService(RaftService, handlers.raft);
      server.addService(CaService, handlers.ca);
      server.addService(DispatcherService, handlers.dispatcher);
      server.addService(ControlService, handlers.control);
      server.addService(ImagesService, handlers.images);
      await opened.start(() => deps.loaded(opened));
      await systemDisk.remove(asideOf(options.raftDir));
      void announceAddress(opened, options, deps, stop);
      const asking = askingDeps(opened, options, deps);
      const membership = opened.watchMembership(asking, () => deps.onRemoved());
      return new ManagerPart(opened, server, membership);
    } catch (error) {
      await server.stop();
      await manager?.stop({ handOver: false }).catch(() => undefined);
      // Rows are checked while they are loaded: the next try finds no state and joins anew.
      if (manager !== undefined && isDamage(error)) await giveUpState(options, deps, error);
      throw error;
    }
  }

  /** Hands leadership over, then closes the control port and the state. */
  async stop(options: { readonly handOver: boolean }): Promise<void> {
    this.#membership.stop();
    await this.manager.stop(options);
    await this.#server.stop();
    letHeapGrow(false);
  }

  /** Deletes the state: this node is no manager any more. */
  static async wipe({ raft, images }: Pick<NodePaths, 'raft' | 'images'>): Promise<void> {
    await systemDisk.remove(asideOf(raft));
    await wipeMember(raft, systemDisk);
    await systemDisk.remove(images);
  }
}

async function openOrJoin(
  options: ManagerPartOptions,
  deps: ManagerPartDeps,
  stop: AbortSignal,
): Promise<Manager> {
  if (!(await systemDisk.exists(options.raftDir))) {
    const wasDamaged = await systemDisk.exists(asideOf(options.raftDir));
    await joinMembers(options, deps, stop, wasDamaged ? 'found at an earlier start' : '');
  }
  try {
    return await open(options, deps);
  } catch (error) {
    if (!isDamage(error)) throw error;
    await giveUpState(options, deps, error);
    await joinMembers(options, deps, stop, messageOf(error));
  }
  return open(options, deps);
}

function isDamage(error: unknown): boolean {
  return SwarmError.is(error) && error.code === 'DAMAGED';
}

/**
 * A damaged member must not vote again: it joins with a raft id of its own. What it had is put aside
 * and deleted when the managers have taken it in: until then it may be the last copy there is.
 */
async function giveUpState(
  options: ManagerPartOptions,
  deps: ManagerPartDeps,
  error: unknown,
): Promise<void> {
  const others = deps.managers().filter((address) => address !== options.advertiseAddress);
  if (others.length === 0) throw withoutOthers(error);
  deps.log.error(
    { reason: messageOf(error) },
    'the state of this manager is damaged: it joins anew',
  );
  await systemDisk.remove(asideOf(options.raftDir));
  await systemDisk.rename(options.raftDir, asideOf(options.raftDir));
}

function withoutOthers(cause: unknown): SwarmError {
  const text = `the state of this manager is damaged (${messageOf(cause)}), and no other manager has it`;
  return new SwarmError('DAMAGED', text, {
    cause,
    advice: 'Restore a backup: swarm leave --force, then the restore.',
    command: 'swarm cluster restore FILE --key @FILE',
  });
}

function asideOf(raftDir: string): string {
  return `${raftDir}.damaged`;
}

/** A manager that came back at another address tells the leader, until it has heard it. */
async function announceAddress(
  manager: Manager,
  options: ManagerPartOptions,
  deps: ManagerPartDeps,
  stop: AbortSignal,
): Promise<void> {
  const { nodeId } = deps.live.current.subject;
  const backoff = new Backoff(deps.random, JOIN_RETRY_MIN_MS, JOIN_RETRY_MAX_MS);
  const address = options.advertiseAddress;
  const { raftId, epoch } = manager;
  const request = { nodeId, raftId, address, damage: '', epoch };
  while (!stop.aborted) {
    const known = manager.memberAddress(nodeId);
    if (known === undefined || known === options.advertiseAddress) return;
    try {
      if (manager.isLeader) await manager.announce(request);
      else await askManagers(request, askingDeps(manager, options, deps));
      return;
    } catch (error) {
      deps.log.warn(
        { reason: messageOf(error) },
        'the leader has not heard of the new address yet',
      );
    }
    await delay(deps.clock, backoff.nextDelayMs());
  }
}

function open(options: ManagerPartOptions, deps: ManagerPartDeps): Promise<Manager> {
  const { clock, random, ids, log, live } = deps;
  return Manager.open(
    { directory: options.raftDir, address: options.advertiseAddress },
    {
      clock,
      random,
      ids,
      log,
      probe: tcpProbe(clock, PROBE_MS),
      blobs: new BlobStore(options.imagesDir),
      registries: registryLookup(
        new Registry({ clock, files: new SystemIo(clock), env: process.env }),
        clock,
      ),
      dialOwn: (address) =>
        dial(address, { tls: live, ownConnection: true, keepaliveMs: LIMITS.raftKeepaliveMs }),
      dial: (address) => dial(address, { tls: live }),
      onFatal: (error) => deps.onFatal(error),
      onRemoved: () => deps.onRemoved(),
    },
  );
}

/** `damage`: what was wrong with the state that it had; empty where it had none. */
async function joinMembers(
  options: ManagerPartOptions,
  deps: ManagerPartDeps,
  stop: AbortSignal,
  damage: string,
): Promise<void> {
  if (damage !== '') deps.onWaiting(joinsAnew(damage, 'no manager was asked yet'));
  const failed = (error: unknown): void =>
    deps.onWaiting(damage === '' ? notYetIn(error) : joinsAnew(damage, messageOf(error)));
  const state = { disk: systemDisk, random: deps.random, openEngine: openLevel };
  await joinManagers(options.raftDir, damage, joiningDeps(options, deps), state, failed, stop);
}

/** For a member: it asks its peers first. */
function askingDeps(
  manager: Manager,
  options: ManagerPartOptions,
  deps: ManagerPartDeps,
): JoiningDeps {
  const managers = (): string[] => [...manager.peerAddresses(), ...deps.managers()];
  return { ...joiningDeps(options, deps), managers };
}

function joiningDeps(options: ManagerPartOptions, deps: ManagerPartDeps): JoiningDeps {
  const { nodeId, clusterId } = deps.live.current.subject;
  return {
    clock: deps.clock,
    random: deps.random,
    log: deps.log,
    nodeId,
    clusterId,
    address: options.advertiseAddress,
    managers: () => deps.managers(),
    dial: (address) => dial(address, { tls: deps.live, ownConnection: true }),
  };
}

function notYetIn(cause: unknown): SwarmError {
  const text = `the managers did not take this node in yet: ${messageOf(cause)}`;
  return new SwarmError('UNREACHABLE', text, { cause, advice: 'It goes on trying.' });
}

function joinsAnew(damage: string, last: string): SwarmError {
  const text = `the state of this manager is damaged (${damage}); it joins the managers anew: ${last}`;
  return new SwarmError('DAMAGED', text, {
    advice:
      'It heals by itself as soon as a quorum of the other managers takes it in. ' +
      'When they are lost for good, run this on a manager whose state is whole.',
    command: 'swarm cluster recover',
  });
}
