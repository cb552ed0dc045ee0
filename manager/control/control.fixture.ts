import {
  Cluster,
  ClusterSecrets,
  CreateServiceRequest,
  type Frame,
  Freshness,
  type Init,
  Liveness,
  type LogRecord,
  type LogRequest,
  Member,
  Node,
  type NodeNetwork,
  NodeStatus,
  type NodeUsage,
  RaftStatus,
  Role,
  ServiceSpec,
  ServiceState,
  Task,
  TaskState,
  TaskStatus,
  type TaskStreamRequest,
} from '../../proto/index.ts';
import { ManualClock } from '../../shared/clock.ts';
import { ImageError } from '../../shared/distribution/image-error.ts';
import { type ImageReference, imageName } from '../../shared/distribution/reference.ts';
import type { RegistryAuth } from '../../shared/distribution/source.ts';
import { SwarmError } from '../../shared/errors.ts';
import { SeededIds } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import { SeededRandom } from '../../shared/random.ts';
import { memoryDuplex } from '../../shared/rpc/memory-duplex.fixture.ts';
import type { CallContext, Duplex } from '../../shared/rpc/rpc.ts';
import { BlobCopies } from '../images/blob-copies.ts';
import { BlobStore } from '../images/blob-store.ts';
import { LocalStore } from '../store/local-store.fixture.ts';
import { CLUSTER_KEY } from '../store/schema.ts';
import { makeControl } from './control.ts';
import type { ControlDeps, NodeVerdict } from './deps.ts';

export const A_DIGEST = `sha256:${'a'.repeat(64)}`;

export interface OpenedStream {
  readonly nodeId: string;
  readonly request: TaskStreamRequest;
  readonly agent: Duplex<Frame, Frame>;
}

/** For the tests of this folder: the real API on a store of one member; a test plays the others. */
export class Fixture {
  readonly clock = new ManualClock();
  readonly ids = new SeededIds(new SeededRandom(7));
  readonly store = new LocalStore({ clock: this.clock, ids: this.ids });
  linearize: () => Promise<Freshness> = async () => Freshness.create();
  leaderlessMs = 2_000;
  hearsLeader = false;
  raft: RaftStatus = RaftStatus.create({ raftId: 1, leader: 1 });
  leader: { nodeId: string; address: string } | undefined = { nodeId: 'n1', address: 'h1:2377' };
  verdicts: NodeVerdict[] = [];
  readonly transient = new Map<string, TaskStatus>();
  readonly logs = new Map<string, () => AsyncIterable<LogRecord>>();
  readonly opened: LogRequest[] = [];
  readonly usage = new Map<string, () => AsyncIterable<NodeUsage>>();
  /** Streams to tasks that were opened, with the agent's end of them. */
  readonly taskStreams: OpenedStream[] = [];
  /** Node -> what it finds of its network when it is asked. */
  readonly networkLooks = new Map<string, () => NodeNetwork>();
  readonly signals: AbortSignal[] = [];
  readonly unreachable = new Set<string>();
  /** Request ids of rotated tokens. */
  readonly rotations: string[] = [];
  /** Nodes whose load balancing is not in effect yet. */
  readonly behind = new Set<string>();
  readonly #settledFns = new Set<() => void>();
  /** Full name of an image -> what its registry says; of others it gives `A_DIGEST`. */
  readonly registry = new Map<string, string | ImageError>();
  /** Of every image. */
  platforms: readonly string[] = [];
  readonly lookups: { reference: ImageReference; auth: RegistryAuth | undefined }[] = [];
  /** Nothing is made there before a test writes a blob. */
  readonly blobs: BlobStore;
  readonly control: ReturnType<typeof makeControl>;

  constructor(directory = '/nonexistent/swarm-images') {
    this.blobs = new BlobStore(directory);
    this.control = makeControl(this.deps());
  }

  deps(): ControlDeps {
    return {
      store: this.store,
      reads: {
        linearize: () => this.linearize(),
        leaderlessMs: () => this.leaderlessMs,
        hearsLeader: () => this.hearsLeader,
      },
      raft: { status: () => this.raft, leader: () => this.leader },
      dispatcher: {
        openLogs: (_nodeId, request, signal) => {
          this.signals.push(signal);
          this.opened.push(request);
          const open = this.logs.get(request.taskId);
          if (open === undefined) throw new SwarmError('NOT_FOUND', 'it knows no such task');
          return open();
        },
        openUsage: (nodeId) => {
          const told = this.usage.get(nodeId);
          if (told === undefined) throw new SwarmError('NO_ANSWER', 'it does not answer');
          return told();
        },
        lookAtNetwork: async (nodeId) => {
          const told = this.networkLooks.get(nodeId);
          if (told === undefined) throw new SwarmError('NO_ANSWER', 'it does not answer');
          return told();
        },
        openTaskStream: (nodeId, request) => {
          const { near, far } = memoryDuplex<Frame, Frame>();
          this.taskStreams.push({ nodeId, request, agent: far });
          return near;
        },
        transientStatus: (id) => this.transient.get(id),
        settledIndex: (id) => (this.behind.has(id) ? 0 : Number.MAX_SAFE_INTEGER),
        onSettled: (fn) => {
          this.#settledFns.add(fn);
          return () => this.#settledFns.delete(fn);
        },
        reachable: (id) => !this.unreachable.has(id),
      },
      explain: () => this.verdicts,
      tokens: {
        get: (role) => `token-${role}-${this.rotations.length}`,
        rotate: async (_role, { requestId }) => {
          this.rotations.push(requestId ?? '');
        },
        rootDigest: () => 'digest',
      },
      registries: {
        digestOf: async (reference, auth) => {
          this.lookups.push({ reference, auth });
          const answer = this.registry.get(imageName(reference)) ?? A_DIGEST;
          if (answer instanceof ImageError) throw answer;
          return answer;
        },
        platformsOf: async () => this.platforms,
        checkLogin: async (host, { password }) => {
          if (host === 'away.example')
            throw new ImageError('PULL_FAILED', `can't reach ${host}`, true);
          if (password !== 'right')
            throw new ImageError('IMAGE_AUTH', 'it does not take this login');
        },
      },
      disks: {
        blobs: this.blobs,
        copies: new BlobCopies({
          store: this.store,
          blobs: this.blobs,
          clock: this.clock,
          selfNodeId: 'n1',
          dial: noDial,
        }),
        dial: noDial,
      },
      clock: this.clock,
      log: silentLog,
      selfNodeId: 'n1',
    };
  }

  /** Nodes have told that their load balancing is in effect. */
  settle(): void {
    for (const fn of this.#settledFns) fn();
  }

  async cluster(): Promise<void> {
    await this.store.put(
      'cluster',
      'users',
      Cluster.create({ id: CLUSTER_KEY, clusterId: 'c', spec: { nodeGraceMs: 4_000 } }),
    );
    await this.store.put(
      'clusterSecrets',
      'ca',
      ClusterSecrets.create({ id: CLUSTER_KEY, epoch: 3 }),
    );
  }

  /** A ready node that runs processes. */
  async node(id: string, node: Init<Node> = {}, status: Init<NodeStatus> = {}): Promise<void> {
    await this.store.put('node', 'users', Node.create({ name: id, ...node, id }));
    await this.store.put(
      'nodeStatus',
      'status',
      NodeStatus.create({
        id,
        liveness: Liveness.READY,
        description: { hostname: id, os: 'linux', architecture: 'amd64', runtimes: ['process'] },
        ...status,
      }),
    );
  }

  async voter(id: string, raftId: number, active = true): Promise<void> {
    await this.node(id, { role: Role.MANAGER });
    await this.store.put(
      'member',
      'roles',
      Member.create({ id, raftId, address: `${id}:2377`, role: Role.MANAGER, phase: 'voter' }),
    );
    const member = {
      raftId,
      nodeId: id,
      nodeName: id,
      address: `${id}:2377`,
      role: 'voter',
      active,
    };
    this.raft = RaftStatus.create({ ...this.raft, members: [...this.raft.members, member] });
  }

  async task(task: Init<Task> & { id: string }, status?: Init<TaskStatus>): Promise<void> {
    const row = Task.create({
      revision: 1,
      slot: 1,
      desiredState: TaskState.RUNNING,
      state: task.nodeId ? TaskState.ASSIGNED : TaskState.PENDING,
      ...task,
    });
    await this.store.put('task', 'loop', row);
    if (status) await this.status({ ...status, id: task.id });
  }

  async status(status: Init<TaskStatus> & { id: string }): Promise<void> {
    await this.store.put('taskStatus', 'status', TaskStatus.create(status));
  }

  async running(serviceId: string, id: string, slot: number, nodeId = 'n1'): Promise<void> {
    await this.task({ id, serviceId, slot, nodeId }, { state: TaskState.RUNNING, ready: true });
  }

  async state(state: Init<ServiceState> & { id: string }): Promise<void> {
    await this.store.put('serviceState', 'loop', ServiceState.create(state));
  }

  /** The service's id. */
  async create(spec: Init<ServiceSpec>): Promise<string> {
    const request = CreateServiceRequest.create({ spec: aSpec(spec) });
    const view = await this.control.createService(request, context());
    return view.service!.id;
  }
}

function noDial(address: string): never {
  throw new SwarmError('UNREACHABLE', `nobody is at ${address}`);
}

export function context(patch: Partial<CallContext> = {}): CallContext {
  return {
    peer: { kind: 'local' },
    peerAddress: '',
    requestId: '',
    consistency: 'linearizable',
    timeoutMs: 20_000,
    signal: new AbortController().signal,
    forwarded: false,
    ...patch,
  };
}

export function aSpec(spec: Init<ServiceSpec> = {}): ServiceSpec {
  return ServiceSpec.create({
    name: 'web',
    replicas: 1,
    task: { process: { command: ['hello'] } },
    ...spec,
  });
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}
