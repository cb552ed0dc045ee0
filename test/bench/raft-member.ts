import { openLevel, systemDisk } from '../../manager/database/index.ts';
import { type OpenedRaft, openRaft, raftHandlers, tcpProbe } from '../../manager/raft/index.ts';
import { ReplicatedStore } from '../../manager/store/replicated-store.ts';
import type { Writer } from '../../manager/store/schema.ts';
import type { Draft } from '../../manager/store/view.ts';
import {
  Certificate,
  Node,
  RaftAck,
  RaftService,
  Role,
  Service,
  type SnapshotChunk,
  SnapshotTrailer,
  Task,
  TaskState,
} from '../../proto/index.ts';
import { SystemClock } from '../../shared/clock.ts';
import { messageOf, SwarmError } from '../../shared/errors.ts';
import { SystemIds } from '../../shared/ids.ts';
import { silentLog } from '../../shared/log.ts';
import { SystemRandom } from '../../shared/random.ts';
import { dial } from '../../shared/rpc/client.ts';
import type { Duplex } from '../../shared/rpc/rpc.ts';
import { RpcServer } from '../../shared/rpc/server.ts';
import { makeIdentity } from '../../shared/tls/identity.ts';
import { LiveIdentity } from '../../shared/tls/live-identity.ts';
import { closedLoop, PauseWatch } from './raft-load.ts';
import {
  BenchService,
  type Command,
  type MemberOptions,
  type MemberStatus,
  ROW_BYTES,
  rowId,
} from './raft-protocol.ts';

/**
 * One manager of `npm run bench -- raft`: the driver, the store and the RPC server of production,
 * with the real clock and disk, and what asks them from inside the process.
 */
const PROBE_MS = 2_000;
const ROWS_PER_UPDATE = 1_000;
const UPDATES_AT_ONCE = 4;
const SERVICES = 1_000;
const NODES = 1_000;

const clock = new SystemClock();
const random = new SystemRandom();
const payload = random.bytes(ROW_BYTES - 34);

class Member {
  readonly #raft: OpenedRaft;
  readonly #store: ReplicatedStore;
  readonly #server: RpcServer;
  #pauses: PauseWatch | undefined;
  #written = 0;

  static async open(options: MemberOptions): Promise<Member> {
    const { certificatePem, keyPem, rootPem, address, directory } = options;
    const live = new LiveIdentity(makeIdentity(certificatePem, keyPem, rootPem));
    const raft = await openRaft(
      directory,
      { address },
      {
        clock,
        random,
        log: silentLog,
        probe: tcpProbe(clock, PROBE_MS),
        afterSends: setImmediate,
        disk: systemDisk,
        openEngine: openLevel,
        dial: (peer) => dial(peer, { tls: live, ownConnection: true }),
        onFatal: fatal,
        onRemoved: () => undefined,
      },
    );
    const { driver } = raft;
    const leaderAddress = (): string | undefined => driver.leader()?.address;
    const ids = new SystemIds();
    const store = new ReplicatedStore({
      clock,
      ids,
      log: silentLog,
      proposer: driver,
      leaderAddress,
    });
    driver.onLeadership(store);
    const authorizer = { nodeRole: () => Role.MANAGER };
    const server = new RpcServer({ clock, log: silentLog, authorizer });
    const member = new Member(raft, store, server);
    await member.#listen(address, live);
    await driver.start(store);
    return member;
  }

  private constructor(raft: OpenedRaft, store: ReplicatedStore, server: RpcServer) {
    this.#raft = raft;
    this.#store = store;
    this.#server = server;
  }

  async #listen(address: string, live: LiveIdentity): Promise<void> {
    const refuse = () => Promise.reject(new SwarmError('FORBIDDEN', 'not in a benchmark'));
    this.#server.addService(RaftService, raftHandlers(this.#raft.driver, refuse));
    const allowed = { callers: ['manager'] } as const;
    this.#server.addService(
      BenchService,
      {
        put: async () => {
          await this.#write();
          return RaftAck.create();
        },
        stream: (stream) => this.#serve(stream),
      },
      { [BenchService.put.path]: allowed, [BenchService.stream.path]: allowed },
    );
    const [host, port] = address.split(':') as [string, string];
    await this.#server.listenTls(host, Number(port), live.serverCredentials());
  }

  async answer(command: Command): Promise<unknown> {
    const { driver } = this.#raft;
    switch (command.kind) {
      case 'change':
        return driver.proposeConfChange(command.change);
      case 'status':
        return this.#status();
      case 'progress':
        return driver.progress(command.raftId);
      case 'write':
        return closedLoop(command.width, command.warmMs, command.runMs, () => this.#write());
      case 'read':
        return closedLoop(command.width, command.warmMs, command.runMs, () => driver.readIndex());
      case 'firstWrite':
        return this.#firstWrite();
      case 'transfer':
        return driver.transferLeadership();
      case 'fillTasks':
        return this.#fillTasks(command.count);
      case 'fillBytes':
        return this.#fillBytes(command.count);
      case 'watch':
        this.#pauses = new PauseWatch();
        return undefined;
      case 'pause':
        return this.#pauses?.stop();
      case 'cpu':
        return cpuMicroseconds();
      default:
        await this.#raft.close({ handOver: false });
        await this.#server.stop();
        return undefined;
    }
  }

  /** Answers that are ready in one turn of the event loop share a message. */
  #serve(stream: Duplex<SnapshotChunk, SnapshotTrailer>): void {
    let done = 0;
    const answer = (): void => {
      stream.send(SnapshotTrailer.create({ rows: done }));
      done = 0;
    };
    const written = (): void => {
      if (++done === 1) setImmediate(answer);
    };
    stream.onMessage(({ values }) => {
      for (const _ of values) void this.#write().then(written);
    });
  }

  #write(): Promise<void> {
    const row = Certificate.create({ id: rowId(this.#written++), publicKey: payload });
    return this.#store.update((draft) => draft.put('certificate', row), { writer: 'ca' });
  }

  #status(): MemberStatus {
    const { driver } = this.#raft;
    const { view } = this.#store;
    return {
      isLeader: driver.isLeader,
      leaderId: driver.leader()?.raftId ?? 0,
      appliedIndex: driver.appliedIndex,
      rows: view.table('certificate').size + view.table('task').size,
    };
  }

  /** Tries at every gain of leadership until a write is accepted. */
  #firstWrite(): Promise<void> {
    return new Promise((resolve) => {
      const attempt = (): void => {
        this.#write().then(
          () => {
            stop();
            resolve();
          },
          () => undefined,
        );
      };
      const stop = this.#raft.driver.onLeadership({ gained: attempt, lost: () => undefined });
    });
  }

  /** Tasks with the services and nodes that they name. */
  async #fillTasks(count: number): Promise<void> {
    const most = { writer: 'users' } as const;
    await this.#store.update((draft) => {
      for (let n = 0; n < SERVICES; n++) draft.put('service', Service.create({ id: serviceId(n) }));
      for (let n = 0; n < NODES; n++) draft.put('node', Node.create({ id: nodeId(n) }));
    }, most);
    return this.#fill(count, 'loop', (draft, n) => draft.put('task', taskOf(n, draft.newId())));
  }

  #fillBytes(count: number): Promise<void> {
    return this.#fill(Math.ceil(count / ROW_BYTES), 'ca', (draft, n) => {
      const id = `fill${String(n).padStart(21, '0')}`;
      draft.put('certificate', Certificate.create({ id, publicKey: payload }));
    });
  }

  /** Puts rows 0 to `count` by updates of many rows, several of which share an entry. */
  async #fill(count: number, writer: Writer, put: (draft: Draft, n: number) => void) {
    let next = 0;
    const loop = async (): Promise<void> => {
      while (next < count) {
        const from = next;
        next = Math.min(count, next + ROWS_PER_UPDATE);
        const end = next;
        await this.#store.update(
          (draft) => {
            for (let n = from; n < end; n++) put(draft, n);
          },
          { writer },
        );
      }
    };
    await Promise.all(Array.from({ length: UPDATES_AT_ONCE }, loop));
  }
}

function serviceId(n: number): string {
  return String(n).padStart(25, 's');
}
function nodeId(n: number): string {
  return String(n).padStart(25, 'n');
}

/** A running task as the control loop leaves it. */
function taskOf(n: number, id: string): Task {
  return Task.create({
    id,
    serviceId: serviceId(n % SERVICES),
    nodeId: nodeId(n % NODES),
    slot: Math.floor(n / SERVICES) + 1,
    revision: 1,
    desiredState: TaskState.RUNNING,
    state: TaskState.ASSIGNED,
    createdWallMs: 1_700_000_000_000 + n,
  });
}

function cpuMicroseconds(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

function fatal(error: unknown): never {
  process.stderr.write(`member: ${messageOf(error)}\n`);
  process.exit(1);
}

let member: Member | undefined;

async function handle(command: Command): Promise<unknown> {
  if (command.kind !== 'open') return member?.answer(command);
  const pauses = new PauseWatch();
  const startMs = performance.now();
  const startUs = cpuMicroseconds();
  member = await Member.open(command.options);
  const openMs = performance.now() - startMs;
  const cpuMs = (cpuMicroseconds() - startUs) / 1000;
  return { openMs, cpuMs, ...pauses.stop(), memoryBytes: process.memoryUsage().rss };
}

process.on('message', ({ id, command }: { id: number; command: Command }) => {
  handle(command).then(
    (value) => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: messageOf(error) }),
  );
});
// The bench is gone: so is what it started.
process.on('disconnect', () => process.exit(0));
