import {
  type AgentMessage,
  AssignedTask,
  type Assignments,
  type Hello,
  type Init,
  ManagerMessage,
  Protocol,
  type StatusReport,
  type StreamUp,
  TaskState,
  type TaskStatus,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import { type MemoryDuplex, memoryDuplex } from '../../shared/rpc/memory-duplex.fixture.ts';
import type { Client } from '../../shared/rpc/rpc.ts';

/** For tests: a leader in memory that commits what it is told at once. */
export class FakeLeader {
  readonly hellos: Hello[] = [];
  readonly reports: StatusReport[] = [];
  readonly acknowledged: number[] = [];
  readonly goodbyes: number[] = [];
  readonly streamed: StreamUp[] = [];
  readonly statuses = new Map<string, TaskStatus>();
  readonly dialled: string[] = [];
  /** Answer of addresses that do not lead. */
  readonly followers = new Map<string, string>();
  commits = true;
  unreachable = false;
  #stream: MemoryDuplex<AgentMessage, ManagerMessage> | undefined;
  #index = 10;
  readonly #watchers = new Set<() => void>();
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }
  readonly dial = (address: string): Client => {
    this.dialled.push(address);
    const nothing = (): never => {
      throw new Error('not used here');
    };
    return {
      address,
      unary: nothing,
      serverStream: nothing,
      clientStream: nothing,
      duplex: (method) => this.#open(address, method.path) as never,
      close: () => undefined,
    };
  };
  get connected(): boolean {
    return this.#stream !== undefined;
  }
  send(message: Init<ManagerMessage>): void {
    this.#stream?.send(ManagerMessage.create(message));
  }
  /** Everything the node should have. */
  assignAll(tasks: readonly AssignedTask[], extra: Init<Assignments> = {}): void {
    this.#index++;
    const to = { epoch: 1, term: 1, index: this.#index };
    this.send({ assignments: { complete: true, to, tasks, ...extra } });
  }
  /** Only what changes. */
  assign(tasks: readonly AssignedTask[], extra: Init<Assignments> = {}): void {
    const from = { epoch: 1, term: 1, index: this.#index };
    this.#index++;
    this.send({ assignments: { from, to: { ...from, index: this.#index }, tasks, ...extra } });
  }
  drop(error?: SwarmError): void {
    this.#stream?.destroy(error);
    this.#stream = undefined;
  }
  stateOf(taskId: string): TaskState | undefined {
    return this.statuses.get(taskId)?.state;
  }
  /** Resolves when `holds` does; looks at every message. */
  until(what: string, holds: () => boolean, timeoutMs = 20_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#clock.setTimer(timeoutMs, () => {
        this.#watchers.delete(look);
        reject(new Error(`never came: ${what}`));
      });
      const look = (): void => {
        if (!holds()) return;
        timer.cancel();
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }
  untilState(taskId: string, state: TaskState): Promise<void> {
    const what = `task ${taskId} in state ${state}`;
    return this.until(what, () => this.stateOf(taskId) === state);
  }
  #open(address: string, path: string): unknown {
    const { near: agent, far: leader } = memoryDuplex<ManagerMessage, AgentMessage>();
    if (path.endsWith('/Stream')) {
      leader.onMessage((message) => {
        this.streamed.push(message as unknown as StreamUp);
        this.#look();
      });
      return agent;
    }
    const hint = this.followers.get(address);
    if (this.unreachable || hint !== undefined) {
      const details = hint ? { leader: hint } : {};
      const code = this.unreachable ? 'UNREACHABLE' : 'NOT_LEADER';
      leader.onMessage(() => leader.destroy(new SwarmError(code, 'Not here.', { details })));
      return agent;
    }
    leader.onMessage((message) => this.#receive(leader, message));
    leader.onClose(() => {
      if (this.#stream === leader) this.#stream = undefined;
      this.#look();
    });
    return agent;
  }
  #receive(stream: MemoryDuplex<AgentMessage, ManagerMessage>, message: AgentMessage): void {
    if (message.hello) {
      this.#stream = stream;
      this.hellos.push(message.hello);
      for (const { taskId, status } of message.hello.tasks) this.statuses.set(taskId, status!);
      this.send({ welcome: { heartbeatMs: 1_000, session: this.hellos.length } });
    }
    if (message.report) {
      this.reports.push(message.report);
      for (const { taskId, status } of message.report.tasks) this.statuses.set(taskId, status!);
      if (this.commits) this.send({ reportsCommitted: { sequence: message.report.sequence } });
    }
    if (message.acknowledged) this.acknowledged.push(message.acknowledged.index);
    if (message.goodbye) this.goodbyes.push(message.goodbye.reason);
    this.#look();
  }
  #look(): void {
    for (const look of [...this.#watchers]) look();
  }
}

/** For tests: an order for a process task. */
export function processTask(
  id: string,
  command: readonly string[],
  init: Init<AssignedTask> = {},
): AssignedTask {
  return AssignedTask.create({
    id,
    serviceId: 'svc',
    serviceName: 'web',
    slot: 1,
    revision: 1,
    desiredState: TaskState.RUNNING,
    spec: { process: { command, stopGraceMs: 1_000 } },
    ...init,
  });
}

export const TCP_80 = { protocol: Protocol.TCP, target: 80, published: 8080 };
