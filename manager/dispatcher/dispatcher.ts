import {
  type AgentMessage,
  type DispatcherService,
  type Frame,
  type Hello,
  Liveness,
  type LogRecord,
  type LogRequest,
  type NetworkLookRequest,
  type NodeNetwork,
  type NodeUsage,
  Role,
  type StatusReport,
  type TaskStatus,
  type TaskStreamRequest,
  type UsageRequest,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { DEFAULTS, LIMITS } from '../../shared/limits.ts';
import type { Log } from '../../shared/log.ts';
import type { Random } from '../../shared/random.ts';
import type { CallContext, Duplex, Handlers } from '../../shared/rpc/rpc.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import type { AppliedEntry, Store, View } from '../store/view.ts';
import { AgentStreams } from './agent-streams.ts';
import { AssignmentFeed } from './assignment-feed.ts';
import { openFrameStream } from './frame-stream.ts';
import { commitHello } from './hello.ts';
import { LivenessClocks } from './liveness-clocks.ts';
import { openLogStream } from './log-streams.ts';
import { lookAtNetwork } from './network-looks.ts';
import { boundedFailures, checkNode } from './report-bounds.ts';
import { type AgentStream, Session } from './session.ts';
import { StatusWriter } from './status-writer.ts';
import { openUsageStream } from './usage-streams.ts';

export interface DispatcherDeps {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Resolves when this manager has proved in its own term that it leads; rejects with NOT_LEADER. */
  readIndex(): Promise<unknown>;
  /** host:port of the leader as this manager knows it. */
  leaderAddress(): string | undefined;
  /** Every ready node has taken these tasks out of its load balancing. */
  onDrainAcknowledged(taskIds: readonly string[]): void;
}

/**
 * The leader's side of the agents: one session a node, assignments down, status up, liveness, logs.
 * On managers that do not lead every session is refused with the leader's address.
 */
export class Dispatcher {
  readonly handlers: Handlers<typeof DispatcherService> = {
    session: (stream, context) => this.#serve(stream, context),
    stream: (stream, context) => this.#streams.serve(stream, context),
  };
  readonly #deps: DispatcherDeps;
  readonly #sessions = new Map<string, Session>();
  readonly #feed: AssignmentFeed;
  readonly #liveness: LivenessClocks;
  readonly #statuses: StatusWriter;
  readonly #streams: AgentStreams;
  #term: number | undefined;
  #proved: Promise<unknown> = Promise.resolve();
  #lastSession = 0;
  readonly #settledFns = new Set<() => void>();
  #unsubscribe: readonly (() => void)[] = [];

  constructor(deps: DispatcherDeps) {
    this.#deps = deps;
    this.#feed = new AssignmentFeed({
      ...deps,
      sessions: this.#sessions,
      onFlushed: () => this.#tellSettled(),
    });
    this.#liveness = new LivenessClocks({
      ...deps,
      onDown: (nodeId, heardMs) => this.#nodeDown(nodeId, heardMs),
    });
    this.#statuses = new StatusWriter(deps);
    this.#streams = new AgentStreams({
      clock: deps.clock,
      random: deps.random,
      ask: (nodeId, request) => {
        const session = this.#sessions.get(nodeId);
        session?.send({ stream: request });
        return session !== undefined;
      },
      isExpected: (nodeId) => {
        const { liveness } = deps.store.view.table('nodeStatus').get(nodeId) ?? {};
        return liveness !== undefined && EXPECTED.has(liveness);
      },
      nodeName: (nodeId) => deps.store.view.table('node').get(nodeId)?.name ?? nodeId,
    });
  }

  /** This manager leads in `term`; everything up to its first entry is applied. */
  start(term: number): void {
    this.stop();
    const { store } = this.#deps;
    this.#term = term;
    this.#proved = this.#deps.readIndex();
    this.#proved.catch(() => undefined);
    this.#feed.start(term);
    this.#statuses.start();
    this.#liveness.start();
    this.#unsubscribe = [
      store.onApplied((entry) => this.#observe(entry)),
      store.onReload(() => this.#feed.reset()),
    ];
  }

  /** Leads no more: sessions end with the new leader's address, where it is known. */
  stop(): void {
    if (this.#term === undefined) return;
    this.#term = undefined;
    for (const fn of this.#unsubscribe) fn();
    this.#feed.stop();
    this.#liveness.stop();
    this.#statuses.stop();
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) session.destroy(this.#notLeader());
    this.#streams.stop(this.#notLeader());
  }

  /** True while the node has a session. */
  reachable(nodeId: string): boolean {
    return this.#sessions.has(nodeId);
  }
  /** Up to which index the node's load balancing is in effect; undefined: it has no session. */
  settledIndex(nodeId: string): number | undefined {
    return this.#sessions.get(nodeId)?.settledIndex;
  }
  /** Called when a `settledIndex` may have grown. Returns what ends it. */
  onSettled(fn: () => void): () => void {
    this.#settledFns.add(fn);
    return () => this.#settledFns.delete(fn);
  }
  #tellSettled(): void {
    for (const fn of this.#settledFns) fn();
  }
  transientStatus(taskId: string): TaskStatus | undefined {
    return this.#statuses.transientStatus(taskId);
  }
  /** Records of one task in order of time; throws NO_ANSWER or DEADLINE, naming the node. */
  openLogs(nodeId: string, request: LogRequest, signal?: AbortSignal): AsyncIterable<LogRecord> {
    return openLogStream(this.#streams, nodeId, request, signal);
  }
  /** What tasks of a node use, look by look; throws as `openLogs`. */
  openUsage(nodeId: string, request: UsageRequest, signal: AbortSignal): AsyncIterable<NodeUsage> {
    return openUsageStream(this.#streams, nodeId, request, signal);
  }
  /** What a node finds of its own network; throws as `openLogs`. */
  lookAtNetwork(
    nodeId: string,
    request: NetworkLookRequest,
    signal: AbortSignal,
  ): Promise<NodeNetwork> {
    return lookAtNetwork(this.#streams, nodeId, request, signal);
  }
  /** Frames to and from one task of a node; ends with what `openLogs` throws. */
  openTaskStream(nodeId: string, request: TaskStreamRequest): Duplex<Frame, Frame> {
    return openFrameStream(this.#streams, nodeId, request);
  }

  // -- sessions

  #serve(stream: AgentStream, context: CallContext): void {
    const { peer } = context;
    if (this.#term === undefined) {
      stream.destroy(this.#notLeader());
      return;
    }
    if (peer.kind !== 'node') {
      stream.destroy(new SwarmError('UNAUTHENTICATED', 'Sessions are for nodes.'));
      return;
    }
    const certificateRole = peer.certificateRole ?? peer.role;
    const session = new Session(peer.nodeId, ++this.#lastSession, certificateRole, stream);
    const timer = this.#deps.clock.setTimer(LIMITS.helloMs, () =>
      session.destroy(new SwarmError('DEADLINE', 'The session said no hello.')),
    );
    let greeted = false;
    stream.onMessage((message) => {
      if (greeted) {
        this.#receive(session, message);
        return;
      }
      greeted = true;
      timer.cancel();
      if (message.hello === null) {
        session.destroy(new SwarmError('INVALID_ARGUMENT', 'A session begins with a hello.'));
      } else void this.#greet(session, message.hello, context);
    });
    stream.onDrain(() => {
      if (session.isBehind && this.#isCurrent(session)) this.#feed.schedule();
    });
    stream.onClose((error) => {
      timer.cancel();
      if (!this.#isCurrent(session)) return;
      this.#sessions.delete(session.nodeId);
      this.#liveness.lost(session.nodeId, error?.details['reset'] === 'true');
    });
  }

  async #greet(session: Session, hello: Hello, context: CallContext): Promise<void> {
    const term = this.#term;
    try {
      await this.#proved;
      await this.#feed.ready;
    } catch (error) {
      session.destroy(SwarmError.is(error) ? error : this.#notLeader());
      return;
    }
    if (this.#term !== term) {
      session.destroy(this.#notLeader());
      return;
    }
    const { view } = this.#deps.store;
    const certificate = view.table('certificate').get(session.nodeId);
    if (certificate === undefined) {
      this.#remove(session);
      return;
    }
    this.#admit(session, hello, certificate.role);
    try {
      await commitHello(this.#deps.store, hello, context.peerAddress);
    } catch (error) {
      session.destroy(asSwarmError(error));
      return;
    }
    this.#report(session, hello.reportSequence, { tasks: hello.tasks });
  }

  #admit(session: Session, hello: Hello, role: Role): void {
    const { store } = this.#deps;
    // Everybody is brought to the same index first: what this session gets is that very state.
    this.#feed.flush();
    const before = this.#sessions.get(session.nodeId);
    this.#sessions.set(session.nodeId, session);
    before?.destroy(new SwarmError('PRECONDITION', 'This node has opened a newer session.'));
    this.#liveness.arrived(session.nodeId);
    const upToDate = this.#feed.resume(session, hello);
    session.send({
      welcome: {
        heartbeatMs: DEFAULTS.heartbeatMs,
        session: session.number,
        clusterId: store.view.table('cluster').get(CLUSTER_KEY)?.clusterId ?? '',
        upToDate,
        role,
      },
    });
    session.send({ managers: { addresses: managerAddresses(store.view) } });
    this.#tellCertificate(session);
    if (!upToDate) this.#feed.sendAll(session);
    this.#streams.arrived(session.nodeId);
  }

  #receive(session: Session, message: AgentMessage): void {
    if (!this.#isCurrent(session)) return;
    this.#liveness.heard(session.nodeId);
    if (message.report !== null) {
      this.#takeReport(session, message.report);
    } else if (message.acknowledged !== null) {
      session.acknowledge(message.acknowledged.index, message.acknowledged.report);
      this.#feed.checkDrains();
      this.#tellSettled();
    } else if (message.goodbye !== null) {
      this.#liveness.said(session.nodeId, message.goodbye.reason);
    }
  }

  #takeReport(session: Session, report: StatusReport): void {
    try {
      this.#report(session, report.sequence, reportOf(report));
    } catch (error) {
      session.destroy(asSwarmError(error));
    }
  }

  #report(session: Session, sequence: number, content: ReportContent): void {
    this.#statuses.report({
      nodeId: session.nodeId,
      tasks: content.tasks,
      listenFailures: content.listenFailures,
      description: content.description,
      volumes: content.volumes,
      done: () => {
        if (!this.#isCurrent(session)) return;
        session.send({ reportsCommitted: { sequence } });
        session.reported(sequence);
        this.#tellSettled();
      },
      failed: (error) => {
        if (this.#isCurrent(session)) session.destroy(asSwarmError(error));
      },
    });
  }

  #remove(session: Session): void {
    session.send({ removed: { reason: 'This node was removed from the cluster.' } });
    session.end();
  }

  #isCurrent(session: Session): boolean {
    return this.#sessions.get(session.nodeId) === session;
  }

  // -- what changes

  #observe(entry: AppliedEntry): void {
    const { view } = this.#deps.store;
    let members = false;
    for (const { table, id, after } of entry.changes) {
      if (table === 'member') members = true;
      if (table === 'task' && after === undefined) this.#statuses.forget(id);
      if (table === 'certificate' && after === undefined) this.#forgetNode(id);
      if (table !== 'certificate' && table !== 'member') continue;
      const session = this.#sessions.get(id);
      if (session !== undefined) this.#tellCertificate(session);
    }
    if (members) this.#tellManagers(view);
    this.#feed.observe(entry);
  }

  #forgetNode(nodeId: string): void {
    this.#liveness.forget(nodeId);
    const session = this.#sessions.get(nodeId);
    if (session === undefined) return;
    this.#sessions.delete(nodeId);
    this.#remove(session);
  }

  /**
   * Its session may look alive, where something between answers for the node: whoever is there has to
   * begin a new one, or it would be down for as long as the old one lasts.
   */
  #nodeDown(nodeId: string, heardMs: number): void {
    this.#streams.nodeDown(nodeId, heardMs);
    const silence = new SwarmError('DEADLINE', 'This node was silent for too long.');
    this.#sessions.get(nodeId)?.destroy(silence);
  }

  /** A node whose row has another role than its certificate renews the certificate. */
  #tellCertificate(session: Session): void {
    const { view } = this.#deps.store;
    const certificate = view.table('certificate').get(session.nodeId);
    if (certificate === undefined) return;
    const renew = certificate.role !== session.certificateRole;
    const raftId = view.table('member').get(session.nodeId)?.raftId ?? 0;
    if (!renew && certificate.role !== Role.MANAGER) return;
    session.sendCertificateNews({ renew, role: certificate.role, raftId });
  }

  #tellManagers(view: View): void {
    const addresses = managerAddresses(view);
    for (const session of this.#sessions.values()) session.send({ managers: { addresses } });
  }

  #notLeader(): SwarmError {
    const leader = this.#deps.leaderAddress();
    return new SwarmError('NOT_LEADER', 'This manager does not lead.', {
      details: leader === undefined ? {} : { leader },
    });
  }
}

/** Where their session ended it will soon be there again. */
const EXPECTED: ReadonlySet<Liveness> = new Set([
  Liveness.READY,
  Liveness.SUSPECT,
  Liveness.RESTARTING,
]);

interface ReportContent {
  readonly tasks: StatusReport['tasks'];
  readonly listenFailures?: StatusReport['listenFailures'] | undefined;
  readonly description?: NonNullable<StatusReport['description']> | undefined;
  readonly volumes?: StatusReport['volumes'] | undefined;
}

/** Throws INVALID_ARGUMENT where a node says too much of itself. */
function reportOf(report: StatusReport): ReportContent {
  checkNode(report.description, report.volumes);
  return {
    tasks: report.tasks,
    listenFailures: report.hasListenFailures ? boundedFailures(report.listenFailures) : undefined,
    description: report.description ?? undefined,
    volumes: report.hasVolumes ? report.volumes : undefined,
  };
}

/** host:port of every manager, in one order. */
function managerAddresses(view: View): string[] {
  const addresses = [...view.table('member').all()].map((member) => member.address);
  return addresses.filter((address) => address !== '').sort();
}

function asSwarmError(error: unknown): SwarmError {
  return SwarmError.is(error) ? error : new SwarmError('INTERNAL', messageOf(error));
}
