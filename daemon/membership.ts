import type { Manager } from '../manager/manager.ts';
import { type CertificateNews, Liveness, Role } from '../proto/index.ts';
import { Backoff } from '../shared/backoff.ts';
import { delay } from '../shared/clock.ts';
import { Renewal, renewIdentity } from '../shared/enrolment/renewal.ts';
import { messageOf, SwarmError } from '../shared/errors.ts';
import { type Identity, saveIdentity } from '../shared/tls/identity.ts';
import { LiveIdentity } from '../shared/tls/live-identity.ts';
import type { DaemonDeps } from './deps.ts';
import { ManagerPart } from './manager-part.ts';
import { type NodeConfig, readNodeConfig, writeNodeConfig } from './node-config.ts';
import type { Offer } from './offer.ts';
import type { NodePaths } from './paths.ts';
import { WorkerPart, type WorkerPartDeps } from './worker-part.ts';

const MANAGER_WAIT_MS = 10_000;
const LEADER_WAIT_MS = 15_000;
const VOTER_WAIT_MS = 10_000;
const MANAGER_RETRY_MIN_MS = 200;
const MANAGER_RETRY_MAX_MS = 10_000;

export interface MembershipOptions {
  readonly stateDir: string;
  /** The local one of this daemon. */
  readonly socket: string;
  readonly paths: NodePaths;
  readonly identity: Identity;
  readonly config: NodeConfig;
  /** Whether this node runs commands of the host: told at `init` and `join`, or to the daemon. */
  readonly allowProcess: boolean;
  /** What services may have of this machine: the same. */
  readonly offer: Offer;
}

export interface MembershipDeps extends DaemonDeps {
  /** One after the other with `init`, `join` and `leave`. */
  exclusive<R>(fn: () => Promise<R>): Promise<R>;
  /** The cluster removed this node; its tasks are stopped. */
  onRemoved(reason: string): void;
}

/**
 * This node in a cluster: who it is, its worker part always, its manager part while it is one. The
 * manager part comes and goes with the role in the node's certificate; nothing is restarted by hand.
 */
export class Membership {
  readonly live: LiveIdentity;
  readonly #options: MembershipOptions;
  readonly #deps: MembershipDeps;
  readonly #makeWorker: (config: NodeConfig) => Promise<WorkerPart>;
  readonly #renewal: Renewal;
  /** Aborted when this node stops or leaves. */
  readonly #ending = new AbortController();
  #config: NodeConfig;
  #worker: WorkerPart;
  #manager: ManagerPart | undefined;
  /** Holds the root key: there from the moment when the manager part's tables are. */
  #signer: Manager | undefined;
  /** Settles when the worker part that is made anew runs. */
  #workerAnew: Promise<void> | undefined;
  /** Settles when the manager part that is starting runs, or does not. */
  #starting: Promise<void> | undefined;
  /** True while it is tried until it runs; what stands in its way. */
  #becomingManager = false;
  #managerProblem: SwarmError | undefined;

  static async create(options: MembershipOptions, deps: MembershipDeps): Promise<Membership> {
    const live = new LiveIdentity(options.identity);
    let self: Membership | undefined;
    const workerDeps: WorkerPartDeps = {
      ...deps,
      onManagers: (addresses) => self?.rememberManagers(addresses),
      otherManagers: () => self?.otherManagers() ?? [],
      onCertificateNews: (news) => void self?.certificateNews(news),
      onRemoved: (reason) => deps.onRemoved(reason),
      onOverlayPossible: () => void deps.exclusive(async () => self!.#renewWorker()),
    };
    const makeWorker = (config: NodeConfig): Promise<WorkerPart> => {
      const { stateDir, socket, paths, allowProcess, offer } = options;
      const own = { ...config, allowProcess, offer };
      return WorkerPart.create({ stateDir, socket, paths, config: own, live }, workerDeps);
    };
    self = new Membership(options, deps, live, makeWorker, await makeWorker(options.config));
    return self;
  }

  private constructor(
    options: MembershipOptions,
    deps: MembershipDeps,
    live: LiveIdentity,
    makeWorker: (config: NodeConfig) => Promise<WorkerPart>,
    worker: WorkerPart,
  ) {
    this.live = live;
    this.#makeWorker = makeWorker;
    this.#worker = worker;
    this.#options = options;
    this.#deps = deps;
    this.#config = options.config;
    this.#renewal = new Renewal({
      clock: deps.clock,
      random: deps.random,
      log: deps.log.child({ part: 'certificate' }),
      live,
      renew: () => this.#renew(),
      save: (renewed) => saveIdentity(options.paths.identity, renewed),
    });
  }

  /** The worker part first: it runs tasks while the manager part still loads. */
  async start(waitForManager: boolean): Promise<void> {
    // Killed while it became a worker: it may still have the secrets that it had as a manager.
    if (!this.#hasManagerRole) await this.#wipeManager();
    await this.#worker.start();
    this.#renewal.start();
    if (!this.#hasManagerRole) return;
    if (waitForManager) await this.#startManager();
    else void this.#becomeManager();
  }

  /** What can't be deleted is no reason to leave its tasks alone. */
  async #wipeManager(): Promise<void> {
    try {
      await ManagerPart.wipe(this.#options.paths);
    } catch (error) {
      this.#deps.log.error({ err: error }, 'what this node had as a manager can not be deleted');
    }
  }

  /** Tasks and published ports go on. */
  async end(how: { handOver: boolean; goodbye: Liveness | undefined }): Promise<void> {
    this.#ending.abort();
    await this.#renewal.stop();
    await this.#manager?.stop({ handOver: how.handOver });
    await this.#workerAnew;
    await this.#worker.stop(how.goodbye);
  }

  get worker(): WorkerPart {
    return this.#worker;
  }
  get config(): NodeConfig {
    return this.#config;
  }
  /** Undefined: this node is none, or its manager part does not run (yet). */
  get manager(): ManagerPart | undefined {
    return this.#manager;
  }
  /** Why the manager part does not run although this node is a manager. */
  get managerProblem(): string {
    return this.#managerProblem?.message ?? '';
  }
  /** What the certificate says, whether or not the manager part runs. */
  get isManager(): boolean {
    return this.#hasManagerRole;
  }
  /** Settles when a manager part that is starting runs, or does not. */
  get managerStarting(): Promise<void> {
    return this.#starting?.catch(() => undefined) ?? Promise.resolve();
  }
  managerAddresses(): string[] {
    const own = this.#manager?.manager.managerAddresses() ?? [];
    return [...new Set([...own, ...this.#worker.managers, ...this.#config.managers])];
  }
  otherManagers(): string[] {
    const own = this.#manager?.manager.managerAddresses() ?? [];
    return [...own, ...this.#config.managers];
  }

  /** Throws NOT_A_MANAGER, or UNREACHABLE while it is starting. */
  managerPart(): ManagerPart {
    if (this.#manager !== undefined) return this.#manager;
    if (this.#hasManagerRole) {
      if (this.#managerProblem !== undefined) throw this.#managerProblem;
      const text = 'the manager part of this node is still starting';
      throw new SwarmError('UNREACHABLE', text, { advice: 'Try again in a moment.' });
    }
    throw new SwarmError('NOT_A_MANAGER', 'this node is a worker', {
      advice: `Ask a manager (${this.#config.managers.join(', ')}).`,
    });
  }
  /** Who calls right after a start is not turned away: a manager part that loads is waited for. */
  async runningManager(): Promise<ManagerPart> {
    await Promise.race([this.managerStarting, delay(this.#deps.clock, MANAGER_WAIT_MS)]);
    return this.managerPart();
  }
  async untilLeader(): Promise<void> {
    if (await this.#wait(LEADER_WAIT_MS, () => this.managerPart().manager.isLeader)) return;
    throw new SwarmError('INTERNAL', 'the new manager did not become its own leader');
  }
  /** Who joins with a manager's token expects a vote: waited for, within reason. */
  untilVoter(): Promise<boolean> {
    const { nodeId } = this.live.current.subject;
    const votes = (): boolean => this.managerPart().manager.memberPhase(nodeId) === 'voter';
    return this.#wait(VOTER_WAIT_MS, votes);
  }

  rememberManagers(addresses: readonly string[]): void {
    if (addresses.length === 0) return;
    const known = new Set(this.#config.managers);
    const isSame = known.size === addresses.length && addresses.every((one) => known.has(one));
    this.#config = { ...this.#config, managers: addresses };
    // Their order changes with every leader: nothing to keep, and no reason to wait for the disk.
    if (isSame) return;
    const { stateDir } = this.#options;
    if (readNodeConfig(stateDir)) writeNodeConfig(stateDir, this.#config);
  }

  /** As a restart of the daemon would: tasks and published ports go on, and so does the manager part. */
  #renewWorker(): Promise<void> {
    this.#workerAnew = this.#restartWorker().catch((error) => {
      this.#deps.log.error({ err: error }, 'the worker part cannot go on');
      this.#deps.exit(1);
    });
    return this.#workerAnew;
  }
  async #restartWorker(): Promise<void> {
    if (this.#ending.signal.aborted) return;
    await this.#worker.stop(Liveness.RESTARTING);
    this.#worker = await this.#makeWorker(this.#config);
    await this.#worker.start();
  }

  // -- the role follows the certificate

  async certificateNews(news: CertificateNews): Promise<void> {
    if (!news.renew || this.#ending.signal.aborted) return;
    this.#deps.log.info({ role: news.role }, 'the cluster gave this node another certificate');
    await this.#renewal.now();
    await this.#deps.exclusive(() => this.#followRole());
  }

  get #hasManagerRole(): boolean {
    return this.live.current.subject.role === Role.MANAGER;
  }

  get #isExpired(): boolean {
    return this.live.current.notAfterWallMs <= this.#deps.clock.wallMs();
  }

  #startManager(): Promise<void> {
    if (this.#manager !== undefined || this.#ending.signal.aborted) return Promise.resolve();
    this.#starting ??= this.#startManagerNow().finally(() => {
      this.#starting = undefined;
    });
    return this.#starting;
  }

  async #startManagerNow(): Promise<void> {
    const { listenAddress, advertiseAddress } = this.#config;
    const manager = await ManagerPart.start(
      {
        raftDir: this.#options.paths.raft,
        imagesDir: this.#options.paths.images,
        listenAddress,
        advertiseAddress,
      },
      {
        ...this.#deps,
        live: this.live,
        managers: () => this.managerAddresses(),
        loaded: (manager) => this.#loaded(manager),
        onFatal: (error) => {
          this.#deps.log.error({ err: error }, 'the manager part cannot go on');
          this.#deps.exit(1);
        },
        onRemoved: () => void this.#deps.exclusive(() => this.#demoted()),
        onWaiting: (problem) => {
          this.#managerProblem = problem;
        },
      },
      this.#ending.signal,
    );
    if (this.#ending.signal.aborted) return manager.stop({ handOver: false });
    this.#manager = manager;
    this.#managerProblem = undefined;
    // The role may have gone while the state was loaded.
    if (!this.#hasManagerRole) void this.#deps.exclusive(() => this.#followRole());
  }

  /**
   * Managers that slept past their certificates' ends do not take each other's: each signs its own
   * before it speaks, so that no call of a user meets a refusal on its way to the leader.
   */
  async #loaded(manager: Manager): Promise<void> {
    this.#signer = manager;
    if (this.#isExpired) await this.#renewal.take(manager.renewOwn(this.live.current));
  }

  /** Tries until the certificate says otherwise or the node stops. */
  async #becomeManager(): Promise<void> {
    if (this.#becomingManager) return;
    this.#becomingManager = true;
    const backoff = new Backoff(this.#deps.random, MANAGER_RETRY_MIN_MS, MANAGER_RETRY_MAX_MS);
    const isWanted = (): boolean => this.#hasManagerRole && !this.#ending.signal.aborted;
    while (isWanted() && this.#manager === undefined) {
      try {
        await this.#startManager();
      } catch (error) {
        this.#managerProblem = notStarted(error);
        this.#deps.log.warn({ reason: messageOf(error) }, 'the manager part did not start yet');
        await delay(this.#deps.clock, backoff.nextDelayMs());
      }
    }
    this.#becomingManager = false;
    if (!isWanted()) this.#managerProblem = undefined;
  }

  async #followRole(): Promise<void> {
    if (this.#ending.signal.aborted) return;
    // Not waited for: who wants to leave meanwhile is not to wait for a port that is taken.
    if (this.#hasManagerRole && this.#manager === undefined) void this.#becomeManager();
    if (!this.#hasManagerRole && this.#manager !== undefined) await this.#endManager(true);
  }

  /** Raft says that this member is out; the certificate follows when the leader changed the row. */
  async #demoted(): Promise<void> {
    if (this.#manager === undefined || this.#ending.signal.aborted) return;
    await this.#endManager(false);
    await this.#renewal.now();
    await this.#followRole();
  }

  async #endManager(handOver: boolean): Promise<void> {
    const manager = this.#manager;
    this.#manager = undefined;
    this.#signer = undefined;
    await manager?.stop({ handOver });
    await ManagerPart.wipe(this.#options.paths);
    this.#deps.log.info({}, 'this node is no manager any more');
  }

  /** The leader signs its own; others ask; a manager that reaches nobody signs its own as well. */
  async #renew(): Promise<Identity> {
    const own = this.#signer;
    if (own !== undefined && (own.isLeader || this.#isExpired)) {
      return own.renewOwn(this.live.current);
    }
    try {
      return await renewIdentity(this.live, this.managerAddresses());
    } catch (error) {
      if (own === undefined) throw error;
      return own.renewOwn(this.live.current);
    }
  }

  async #wait(timeoutMs: number, isThere: () => boolean): Promise<boolean> {
    const { clock } = this.#deps;
    const endMs = clock.monotonicMs() + timeoutMs;
    while (!isThere()) {
      if (clock.monotonicMs() > endMs) return false;
      await delay(clock, 10);
    }
    return true;
  }
}

function notStarted(cause: unknown): SwarmError {
  const text = `the manager part did not start: ${messageOf(cause)}`;
  if (!SwarmError.is(cause)) return new SwarmError('INTERNAL', text, { cause });
  const { code, advice, command, details } = cause;
  return new SwarmError(code, text, { cause, advice, command, details });
}
