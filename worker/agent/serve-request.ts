import type {
  LogRecord,
  LogRequest,
  NetworkLookRequest,
  NodeNetwork,
  StreamRequest,
} from '../../proto/index.ts';
import type { Clock } from '../../shared/clock.ts';
import { SwarmError } from '../../shared/errors.ts';
import type { Io } from '../io.ts';
import type { LocalTasks } from './local-tasks.ts';
import { serveLogs } from './log-stream.ts';
import type { Runtimes } from './runtimes.ts';
import type { Wire } from './streams.ts';
import { serveTaskStream } from './task-stream.ts';
import { serveUsage } from './usage-stream.ts';
import type { VolumeAccess } from './volume-stream.ts';

export interface RequestDeps {
  readonly nodeId: string;
  readonly io: Io;
  readonly clock: Clock;
  readonly tasks: LocalTasks;
  readonly runtimes: Runtimes;
  /** Throws SwarmError NOT_FOUND for a task whose log is not here. */
  readonly readLogs: (
    taskId: string,
    request: LogRequest,
    signal: AbortSignal,
  ) => AsyncIterable<LogRecord>;
  /** Undefined: this node cannot look at its network. */
  readonly examineNetwork: ((request: NetworkLookRequest) => Promise<NodeNetwork>) | undefined;
  /** Resolves when the managers know of the volumes what there is to tell now. */
  readonly told: () => Promise<void>;
}

/**
 * Does what a manager asks for on behalf of somebody. Throws SwarmError: NOT_FOUND for tasks and logs
 * that are not here, UNSUPPORTED for what this node cannot do.
 */
export async function serveRequest(
  deps: RequestDeps,
  request: StreamRequest,
  wire: Wire,
): Promise<void> {
  const { io, clock, nodeId, tasks, runtimes } = deps;
  const { logs, task, usage, network } = request;
  if (task !== null) {
    const access = (id: string, ended: boolean) => tasks.get(id).access(ended);
    const status = (id: string, lines: number) => tasks.get(id).detailedStatus(lines);
    const volumes = () => volumeAccess(deps);
    await serveTaskStream({ clock, access, status, volumes }, task, wire);
  } else if (usage !== null) {
    const all = () => tasks.all.map((runner) => runner.task);
    const look = runtimes.usage.bind(runtimes);
    await serveUsage({ io, clock, nodeId, tasks: all, usage: look }, usage, wire);
  } else if (network !== null) {
    if (deps.examineNetwork === undefined)
      throw new SwarmError('UNSUPPORTED', 'This node cannot look at its network.');
    wire.send({ network: await deps.examineNetwork(network) });
  } else if (logs !== null) {
    await serveLogs(deps.readLogs(logs.taskId, logs, wire.signal), wire);
  } else throw new SwarmError('UNSUPPORTED', 'This node does not know what is asked for.');
}

function volumeAccess({ runtimes, tasks, told }: RequestDeps): VolumeAccess {
  const { volumes } = runtimes;
  if (volumes === undefined)
    throw new SwarmError('UNSUPPORTED', 'This node runs no containers: it has no volumes.', {
      advice: 'Choose a node with a container runtime: --node NODE.',
      command: 'swarm node ls',
    });
  return { volumes, usersOf: (name) => tasks.usersOf(volumes, name), told };
}
