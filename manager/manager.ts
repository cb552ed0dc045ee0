import {
  ControlService,
  Empty,
  type JoinRaftRequest,
  type RaftStatus,
  Role,
} from '../proto/index.ts';
import type { Clock } from '../shared/clock.ts';
import type { SwarmError } from '../shared/errors.ts';
import type { IdSource } from '../shared/ids.ts';
import { DEFAULTS, LIMITS } from '../shared/limits.ts';
import type { Log } from '../shared/log.ts';
import type { Random } from '../shared/random.ts';
import type { CallContext, Client, Consistency } from '../shared/rpc/rpc.ts';
import type { Authorizer } from '../shared/rpc/rules.ts';
import type { Identity } from '../shared/tls/identity.ts';
import { StoreAuthorizer } from './ca/authorizer.ts';
import { Ca, setCertificateRole } from './ca/ca.ts';
import { openLevel, systemDisk } from './database/index.ts';
import { Dispatcher } from './dispatcher/dispatcher.ts';
import { type ManagerHandlers, makeHandlers } from './handlers.ts';
import { BlobCopies } from './images/blob-copies.ts';
import type { BlobStore } from './images/blob-store.ts';
import { ImageKeeper } from './images/image-keeper.ts';
import type { RegistryLookup } from './images/registry-lookup.ts';
import { type JoiningDeps, MembershipWatch } from './joining.ts';
import { LeaderClient } from './leader-client.ts';
import { Loop } from './loop/loop.ts';
import { withMemberNames } from './member-names.ts';
import { type OpenedRaft, openRaft, type Probe } from './raft/index.ts';
import { onlineSnapshot } from './recovery/index.ts';
import { Roles } from './roles/roles.ts';
import { ReplicatedStore } from './store/replicated-store.ts';
import { CLUSTER_KEY } from './store/schema.ts';

/** How long another manager may take to say how it is. */
const STATUS_MS = 1_000;

export interface ManagerOptions {
  /** The folder that `createFirstMember` or `createJoiningMember` made. */
  readonly directory: string;
  /** host:port where others reach this manager. */
  readonly address: string;
}

export interface ManagerDeps {
  readonly clock: Clock;
  readonly random: Random;
  readonly ids: IdSource;
  readonly log: Log;
  readonly probe: Probe;
  readonly registries: RegistryLookup;
  /** Parts of images on this manager's disk. */
  readonly blobs: BlobStore;
  /** A connection of its own with each call. */
  dialOwn(address: string): Client;
  /** A shared connection. */
  dial(address: string): Client;
  onFatal(error: SwarmError): void;
  /** This member was removed: the state is worthless, the node may be promoted anew. */
  onRemoved(): void;
}

/**
 * The manager part of a node: raft below, the store on it, and on the store what answers users and
 * agents. Leader-scoped parts hear of leadership in one order: the store first.
 */
export class Manager {
  readonly handlers: ManagerHandlers;
  readonly authorizer: Authorizer;
  readonly ca: Ca;
  readonly store: ReplicatedStore;
  /** Parts of images on this manager's disk. */
  readonly blobs: BlobStore;
  readonly #deps: ManagerDeps;
  readonly #raft: OpenedRaft;
  readonly #leader: LeaderClient;
  readonly #roles: Roles;
  readonly #images: ImageKeeper;

  /** Opens and checks the state; rejects with DAMAGED when it must not be used again. */
  static async open(options: ManagerOptions, deps: ManagerDeps): Promise<Manager> {
    const { clock, random, log, probe } = deps;
    const raft = await openRaft(
      options.directory,
      { address: options.address },
      {
        clock,
        random,
        log: log.child({ part: 'raft' }),
        probe,
        afterSends: setImmediate,
        disk: systemDisk,
        openEngine: openLevel,
        dial: (address) => deps.dialOwn(address),
        onFatal: (error) => deps.onFatal(error),
        onRemoved: () => deps.onRemoved(),
      },
    );
    return new Manager(raft, deps);
  }

  private constructor(raft: OpenedRaft, deps: ManagerDeps) {
    const { driver } = raft;
    const { clock, random, ids, log, blobs } = deps;
    this.#deps = deps;
    this.#raft = raft;
    const leaderAddress = (): string | undefined => this.leaderAddress();
    const store = new ReplicatedStore({ clock, ids, log, proposer: driver, leaderAddress });
    this.store = store;
    const status = (): RaftStatus => withMemberNames(driver.status(), store.view);
    this.#leader = new LeaderClient(driver, { dial: deps.dial, status });
    this.authorizer = new StoreAuthorizer(store, driver);
    this.ca = new Ca({ store, clock, random, managers: () => this.managerAddresses() });
    const loop = new Loop({ store, clock, log });
    const dispatcher = this.#makeDispatcher(loop);
    this.#roles = this.#makeRoles();
    this.blobs = blobs;
    const dialOwn = (address: string): Client => deps.dialOwn(address);
    const { nodeId: selfNodeId } = driver.identity;
    const copies = new BlobCopies({ store, blobs, clock, selfNodeId, dial: dialOwn });
    this.#images = new ImageKeeper({ store, blobs, copies, clock, random, log });
    this.handlers = makeHandlers({
      ...deps,
      store,
      driver,
      leader: this.#leader,
      ca: this.ca,
      loop,
      dispatcher,
      roles: this.#roles,
      copies,
      status,
      askStatus: (address) => this.#askStatus(address),
      dialOwn,
    });
    this.#followLeadership(loop, dispatcher);
    this.#followSettings();
  }

  /**
   * Loads the state and takes part. `loaded` is waited for when the tables are there and nothing has
   * been sent to another member yet.
   */
  start(loaded?: () => Promise<void>): Promise<void> {
    return this.#raft.driver.start(this.store, loaded);
  }

  async stop(options: { readonly handOver?: boolean } = {}): Promise<void> {
    this.#leader.close();
    this.#images.stop();
    await this.#raft.close(options);
  }

  get isLeader(): boolean {
    return this.#raft.driver.isLeader;
  }
  get raftId(): number {
    return this.#raft.driver.identity.raftId;
  }
  get epoch(): number {
    return this.#raft.driver.identity.epoch;
  }
  /** Addresses of all managers, the leader's first. */
  managerAddresses(): string[] {
    const leader = this.#raft.driver.leader()?.address ?? '';
    const all = [...this.store.view.table('member').all()]
      .filter((member) => member.role === Role.MANAGER)
      .map((member) => member.address);
    return [...new Set([leader, ...all])].filter((address) => address !== '');
  }
  /** Where other members were heard last: newer than the rows, where many have moved at once. */
  peerAddresses(): string[] {
    const peers = [...this.#raft.driver.directory.all()];
    return peers.map(({ address }) => address).filter((address) => address !== '');
  }
  leaderAddress(): string | undefined {
    return this.#raft.driver.leader()?.address || undefined;
  }
  /** A new certificate for this manager's own key, signed here. */
  renewOwn(identity: Identity): Identity {
    return this.ca.renewOwn(identity);
  }

  /** For a backup; see `onlineSnapshot`. */
  snapshot(consistency: Consistency): ReturnType<typeof onlineSnapshot> {
    const { database, driver } = this.#raft;
    const readIndex = () => driver.readIndex();
    return onlineSnapshot({ database, clock: this.#deps.clock, readIndex }, consistency);
  }
  /** True when a quorum confirms within the time of a read that it follows a leader. */
  async hasQuorum(): Promise<boolean> {
    return this.#raft.driver.readIndex().then(
      () => true,
      () => false,
    );
  }

  /** Where the members' table says that a manager is; undefined before it knows. */
  memberAddress(nodeId: string): string | undefined {
    return this.store.view.table('member').get(nodeId)?.address;
  }
  /** How far a member is on its way to a vote (Member.phase), as this manager knows it. */
  memberPhase(nodeId: string): string | undefined {
    return this.store.view.table('member').get(nodeId)?.phase;
  }
  /** To be stopped before this manager is. */
  watchMembership(deps: JoiningDeps, onRemoved: () => void): MembershipWatch {
    const { driver } = this.#raft;
    const member = {
      identity: driver.identity,
      get hasLeader(): boolean {
        return driver.hasLeader;
      },
      find: (addresses: readonly string[]) => this.#find(addresses),
    };
    return new MembershipWatch(member, deps, onRemoved);
  }
  /** On the leader itself: its own new address. */
  async announce(request: JoinRaftRequest): Promise<void> {
    await this.#roles.join(
      request,
      ownContext(request.nodeId, this.#raft.driver.identity.clusterId),
    );
  }

  async #find(addresses: readonly string[]): Promise<void> {
    const { identity, directory } = this.#raft.driver;
    const look = async (address: string): Promise<void> => {
      const status = await this.#askStatus(address).catch(() => undefined);
      if (status?.epoch !== identity.epoch || status.raftId === identity.raftId) return;
      const { raftId } = status;
      if (directory.get(raftId)) directory.learn({ raftId, nodeId: '', address });
    };
    await Promise.all(addresses.map(look));
  }

  async #askStatus(address: string): Promise<RaftStatus> {
    const client = this.#deps.dial(address);
    try {
      const options = { forwarded: true, timeoutMs: STATUS_MS };
      return await client.unary(ControlService.getRaftStatus, Empty.create(), options);
    } finally {
      client.close();
    }
  }

  #makeDispatcher(loop: Loop): Dispatcher {
    const { clock, log, random } = this.#deps;
    const { driver } = this.#raft;
    return new Dispatcher({
      store: this.store,
      clock,
      log,
      random,
      readIndex: () => driver.readIndex(),
      leaderAddress: () => this.leaderAddress(),
      onDrainAcknowledged: (taskIds) => loop.drainAcknowledged(taskIds),
    });
  }

  #makeRoles(): Roles {
    const { store } = this;
    const { clock, log, probe } = this.#deps;
    return new Roles({
      store,
      raft: this.#raft.driver,
      clock,
      log,
      probe,
      setCertificateRole: (nodeId, role) => setCertificateRole(store, nodeId, role),
    });
  }

  /** In the order in which they hear of it: the store first. */
  #followLeadership(loop: Loop, dispatcher: Dispatcher): void {
    for (const part of [
      this.store,
      { gained: (term: number) => dispatcher.start(term), lost: () => dispatcher.stop() },
      { gained: (term: number) => loop.start(term), lost: () => loop.stop() },
      this.#roles,
    ])
      this.#raft.driver.onLeadership(part);
  }

  /** Settings of the cluster that this manager's own parts follow. */
  #followSettings(): void {
    const follow = (): void => {
      const spec = this.store.view.table('cluster').get(CLUSTER_KEY)?.spec;
      this.#raft.driver.setElectionTimeout(spec?.electionTimeoutMs || DEFAULTS.electionTimeoutMs);
    };
    this.store.onReload(follow);
    this.store.onApplied((entry) => {
      if (entry.changes.some((change) => change.table === 'cluster')) follow();
    });
  }
}

/** A call that this manager makes to itself. */
function ownContext(nodeId: string, clusterId: string): CallContext {
  return {
    peer: { kind: 'node', nodeId, role: Role.MANAGER, clusterId },
    peerAddress: '',
    requestId: '',
    consistency: 'linearizable',
    timeoutMs: LIMITS.joinDeadlineMs,
    signal: new AbortController().signal,
    forwarded: true,
  };
}
