import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { receiveBlobs } from '../manager/images/blob-upload.ts';
import type { Manager } from '../manager/manager.ts';
import {
  type BackupChunk,
  BlobsUploaded,
  type BlobUpload,
  ControlService,
  type InfoResponse,
  type InitRequest,
  type InitResponse,
  type JoinRequest,
  type JoinResponse,
  Liveness,
  LocalService,
  type LocalTask,
  type LogRecord,
  type LogsRequest,
  type MissingBlobsRequest,
  MissingBlobsResponse,
  type ReaddressRequest,
  type ReaddressResponse,
  type RecoverRequest,
  type RecoverResponse,
  type RestoreChunk,
  type RestoreResponse,
  type StopRequest,
} from '../proto/index.ts';
import { messageOf, SwarmError } from '../shared/errors.ts';
import type { CallContext } from '../shared/rpc/rpc.ts';
import { RpcServer } from '../shared/rpc/server.ts';
import { type Identity, loadIdentity, saveIdentity } from '../shared/tls/identity.ts';
import { VERSION } from '../shared/version.ts';
import { controlGate } from './control-gate.ts';
import type { DaemonDeps } from './deps.ts';
import { makeCluster } from './first-manager.ts';
import { reasonForEnding } from './goodbye.ts';
import { joinNode } from './join-cluster.ts';
import { localService } from './local-service.ts';
import { Membership } from './membership.ts';
import { makeConfig, type NodeConfig, readNodeConfig, writeNodeConfig } from './node-config.ts';
import type { NodeSteps } from './node-steps.ts';
import { joinOffers, NO_OFFER } from './offer.ts';
import type { DaemonOptions } from './options.ts';
import { type NodePaths, nodePaths } from './paths.ts';
import { readdressNode, redetected } from './readdress.ts';
import { backUpNode, recoverNode, restoreNode } from './recovery.ts';
import { SYSTEM_DIR, socketAccess } from './socket-access.ts';
import { wipeNode } from './wipe.ts';

/** Whoever asked this daemon to stop has its answer by then. */
const LAST_ANSWERS_MS = 250;

/**
 * The node as a whole: serves the local socket from the first moment, enters and leaves clusters
 * and ends. What it is in a cluster is its `Membership`.
 */
export class NodeDaemon {
  readonly #options: DaemonOptions;
  readonly #deps: DaemonDeps;
  readonly #paths: NodePaths;
  readonly #local: RpcServer;
  #membership: Membership | undefined;
  /** Why this node is in no cluster although its state directory says so. */
  #problem = '';
  /** It is on its way back into the cluster that it was in. */
  #isResuming = false;
  /** `init`, `join`, `leave` and role changes run one after the other. */
  #turn: Promise<unknown> = Promise.resolve();
  #ending = false;

  constructor(options: DaemonOptions, deps: DaemonDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#paths = nodePaths(options.stateDir);
    this.#local = new RpcServer({
      clock: deps.clock,
      log: deps.log.child({ part: 'local' }),
      authorizer: { nodeRole: () => undefined },
    });
  }

  /** Listens, then takes up the cluster it was in. A problem with that is told by `info`. */
  async start(): Promise<void> {
    this.#local.addService(LocalService, localService(this));
    this.#local.addService(
      ControlService,
      controlGate(async () => (await this.#runningManager()).handlers.control),
    );
    await mkdir(dirname(this.#options.socket), { recursive: true, mode: 0o700 });
    const { socket, stateDir } = this.#options;
    const isRoot = process.getuid?.() === 0;
    const around = { isRoot, systemDir: SYSTEM_DIR, groups: '/etc/group' };
    await this.#local.listenUnix(socket, await socketAccess({ socket, stateDir }, around));
    await this.#exclusive(async () => {
      try {
        const config = readNodeConfig(this.#options.stateDir);
        this.#isResuming = config !== undefined;
        if (config !== undefined) await this.#resume(config);
      } catch (error) {
        this.#problem = messageOf(error);
        this.#deps.log.error({ err: error }, 'the cluster of this node cannot be taken up');
      } finally {
        this.#isResuming = false;
      }
    });
  }

  // -- what the local socket asks for

  info(): Partial<InfoResponse> {
    const { stateDir, logFile } = this.#options;
    const base = { versionText: VERSION, stateDir, logFile: logFile ?? '', pid: process.pid };
    const now = this.#membership;
    if (now === undefined) {
      const state = this.#problem !== '' ? 'error' : this.#isResuming ? 'starting' : 'none';
      return { ...base, state, error: this.#problem };
    }
    const { nodeId, clusterId } = now.live.current.subject;
    const { config, worker, manager } = now;
    return {
      ...base,
      nodeId,
      clusterId,
      nodeName: config.nodeName,
      state: now.isManager ? 'manager' : 'worker',
      leader: manager?.manager.isLeader ?? false,
      advertiseAddress: config.advertiseAddress,
      managers: now.managerAddresses(),
      description: worker.description,
      networkTier: worker.networkTier,
      connected: worker.connected,
      tasks: worker.localTasks().length,
      allowProcess: config.allowProcess,
      error: now.managerProblem,
    };
  }

  init(request: InitRequest): Promise<InitResponse> {
    return this.#exclusive(() => makeCluster(request, this.#steps()));
  }
  join(request: JoinRequest): Promise<JoinResponse> {
    return this.#exclusive(() => joinNode(request, this.#steps()));
  }
  leave(force: boolean): Promise<void> {
    return this.#exclusive(() => this.#leave(force));
  }
  async *backup(context: CallContext): AsyncIterable<BackupChunk> {
    yield* backUpNode(await this.#runningManager(), context, this.#deps);
  }
  restore(chunks: AsyncIterable<RestoreChunk>): Promise<RestoreResponse> {
    return this.#exclusive(() => restoreNode(chunks, this.#steps()));
  }
  recover(request: RecoverRequest): Promise<RecoverResponse> {
    return this.#exclusive(() => recoverNode(request, this.#steps()));
  }
  readdress(request: ReaddressRequest): Promise<ReaddressResponse> {
    return this.#exclusive(() => readdressNode(request, this.#steps()));
  }
  async missingBlobs(request: MissingBlobsRequest): Promise<MissingBlobsResponse> {
    const { blobs } = await this.#runningManager();
    const missing = await blobs.missing(request.blobs, this.#deps.clock.wallMs());
    const digests = missing.map(({ digest }) => digest);
    return MissingBlobsResponse.create({ digests, nodeId: this.info().nodeId ?? '' });
  }
  async uploadBlobs(uploads: AsyncIterable<BlobUpload>): Promise<BlobsUploaded> {
    const { blobs } = await this.#runningManager();
    await receiveBlobs(blobs, uploads);
    return BlobsUploaded.create({ nodeId: this.info().nodeId ?? '' });
  }
  localTasks(): readonly LocalTask[] {
    return this.#membership?.worker.localTasks() ?? [];
  }
  taskLogs(request: LogsRequest, signal: AbortSignal): AsyncIterable<LogRecord> {
    const { worker } = this.#member();
    return worker.readLogs(request.ref, request.options!, signal);
  }

  /** SIGTERM: an orderly end that says of itself what it can. */
  async signalled(): Promise<void> {
    await this.#end(await reasonForEnding(process.env), false);
  }
  async endProcess(request: StopRequest): Promise<void> {
    const said = request.leaving ? Liveness.LEAVING : Liveness.UNKNOWN;
    if (request.forget) this.#membership?.worker.forgetAtStop();
    await this.#end(request.restarting ? Liveness.RESTARTING : said, request.withTasks);
  }

  // -- entering

  /** Runs the steps that put this node into a cluster; a failure takes them all back. */
  async #entering(steps: () => Promise<void>): Promise<void> {
    try {
      await wipeNode(this.#options.stateDir);
      await steps();
    } catch (error) {
      await this.#endMembership({ handOver: false, goodbye: undefined });
      await wipeNode(this.#options.stateDir);
      throw error;
    }
  }

  /** `node.json` is written last: with it this node is in the cluster, also after a kill. */
  async #enter(identity: Identity, config: NodeConfig): Promise<void> {
    await saveIdentity(this.#paths.identity, identity);
    await this.#begin(identity, config, true);
    writeNodeConfig(this.#options.stateDir, config);
  }

  async #resume(config: NodeConfig): Promise<void> {
    const identity = await loadIdentity(this.#paths.identity);
    if (identity === undefined) {
      throw new SwarmError('STATE_DIR', `${this.#paths.identity} is missing`, {
        advice: 'Restore it from a backup, or run: swarm leave --force, then join again.',
      });
    }
    const found = redetected(config);
    if (found !== undefined) {
      const address = found.advertiseAddress;
      this.#deps.log.warn({ address }, 'this machine has another address than before');
      writeNodeConfig(this.#options.stateDir, found);
    }
    await this.#begin(identity, found ?? config, false);
  }

  async #begin(identity: Identity, config: NodeConfig, waitForManager: boolean): Promise<void> {
    const { stateDir, socket } = this.#options;
    const offer = joinOffers(config.offer, this.#options.offer);
    const allowProcess = config.allowProcess || this.#options.allowProcess;
    this.#membership = await Membership.create(
      { stateDir, socket, paths: this.#paths, identity, config, allowProcess, offer },
      {
        ...this.#deps,
        exclusive: (fn) => this.#exclusive(fn),
        onRemoved: (reason) => void this.#removed(reason),
      },
    );
    await this.#membership.start(waitForManager);
  }

  // -- leaving and ending

  async #leave(force: boolean): Promise<void> {
    const now = this.#membership;
    if (now === undefined && this.#problem === '') {
      throw new SwarmError('NOT_IN_CLUSTER', 'this node is in no cluster');
    }
    // Also one whose manager part does not run: it may have the last copy there is.
    if (!force && now?.isManager) throw isManager(now.config.nodeName);
    if (!force && now === undefined && existsSync(this.#paths.raft)) throw hasState();
    if (now !== undefined) {
      await now.worker.destroy('stopped: this node leaves the cluster');
      await this.#endMembership({ handOver: true, goodbye: Liveness.LEAVING });
    }
    await wipeNode(this.#options.stateDir);
    this.#problem = '';
    this.#deps.log.info({}, 'this node left its cluster');
  }

  async #removed(reason: string): Promise<void> {
    await this.#exclusive(async () => {
      this.#membership?.worker.forgetAtStop();
      await this.#endMembership({ handOver: false, goodbye: undefined });
      this.#problem = `this node was removed from its cluster (${reason}); swarm leave --force forgets it`;
    });
  }

  async #end(goodbye: Liveness, withTasks: boolean): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    const { log } = this.#deps;
    log.info({ goodbye }, 'swarmd ends');
    try {
      if (withTasks)
        await this.#membership?.worker.stopTasks('stopped with the daemon of this node');
      await this.#endMembership({ handOver: true, goodbye });
      await this.#local.stop(LAST_ANSWERS_MS);
    } catch (error) {
      log.error({ err: error }, 'swarmd did not end in order');
    }
    this.#deps.exit(0);
  }

  async #endMembership(how: { handOver: boolean; goodbye: Liveness | undefined }): Promise<void> {
    await this.#membership?.end(how);
    this.#membership = undefined;
  }

  /** What may be done with this node while it is in nobody else's hands. */
  #steps(): NodeSteps {
    const { stateDir } = this.#options;
    return {
      stateDir,
      paths: this.#paths,
      deps: this.#deps,
      refuseIfMember: () => this.#refuseIfMember(),
      configFor: (to, name, process, offer = NO_OFFER) =>
        makeConfig(to, name, process || this.#options.allowProcess, [to.advertise], offer),
      entering: (steps) => this.#entering(steps),
      enter: (identity, config) => this.#enter(identity, config),
      untilLeader: () => this.#member().untilLeader(),
      untilVoter: () => this.#member().untilVoter(),
      present: () => {
        const { live, config, manager } = this.#member();
        return { identity: live.current, config, ...(manager && { manager: manager.manager }) };
      },
      end: async (handOver = false) => {
        const starting = this.#membership?.managerStarting;
        await this.#endMembership({ handOver, goodbye: undefined });
        await starting;
      },
      begin: async (identity, config, lead) => {
        writeNodeConfig(stateDir, config);
        await this.#begin(identity, config, lead);
        if (lead) await this.#member().untilLeader();
      },
      manager: () => this.#member().managerPart().manager,
    };
  }

  // -- small things

  #member(): Membership {
    if (this.#membership !== undefined) return this.#membership;
    if (this.#problem !== '') throw new SwarmError('STATE_DIR', this.#problem);
    throw new SwarmError('NOT_IN_CLUSTER', 'this node is in no cluster');
  }
  async #runningManager(): Promise<Manager> {
    await this.#turn;
    return (await this.#member().runningManager()).manager;
  }

  #refuseIfMember(): void {
    if (this.#problem !== '') throw new SwarmError('STATE_DIR', this.#problem);
    const now = this.#membership;
    if (now === undefined) return;
    const { clusterId } = now.live.current.subject;
    throw new SwarmError('ALREADY_IN_CLUSTER', `this node is in cluster ${clusterId.slice(0, 12)}`);
  }

  #exclusive<R>(fn: () => Promise<R>): Promise<R> {
    const result = this.#turn.then(fn, fn);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

function isManager(name: string): SwarmError {
  return new SwarmError(
    'PRECONDITION',
    'this node is a manager: leaving would take its vote away',
    {
      advice: 'Demote it first, or give --force; the last manager takes the whole cluster with it.',
      command: `swarm node demote ${name}`,
    },
  );
}

/** It is in no cluster any more, or does not know who it is: nobody could demote it. */
function hasState(): SwarmError {
  return new SwarmError(
    'PRECONDITION',
    'this node has what it had as a manager: leaving deletes it',
    {
      advice: 'Give --force when other managers have it too, or a backup.',
      command: 'swarm leave --force',
    },
  );
}
