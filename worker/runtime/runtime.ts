import type { AssignedTask, PortBinding, RegistryAuth, TaskState } from '../../proto/index.ts';

/**
 * What runs tasks. One contract suite (`runtime.contract.ts`) holds for every implementation. All
 * methods are idempotent; a daemon killed between any two steps repeats them after adoption.
 */
export interface Runtime {
  readonly name: 'fake' | 'process' | 'containerd';
  /** Version and features as this machine really has them, found out by trying. */
  probe(): Promise<RuntimeFeatures>;
  open(): Promise<void>;
  /** Never stops a task. */
  close(): Promise<void>;
  /** What an earlier daemon started, ended ones with their exit included. */
  list(): Promise<readonly AdoptedTask[]>;
  controller(task: AssignedTask, secrets?: TaskSecrets): TaskController;
}

/** What a task needs and no file of this node holds; it comes from a manager each time. */
export interface TaskSecrets {
  /** Undefined: none, or not here yet after a restart (then the task's `registryAuth` is not null). */
  registryAuth(): RegistryAuth | undefined;
}

export interface RuntimeFeatures {
  readonly runtime: string;
  /** Goes into NodeDescription.features: limits=full|partial|none, pidns=yes|no, ... */
  readonly features: { readonly [key: string]: string };
}

export interface AdoptedTask {
  readonly taskId: string;
  readonly running: boolean;
  readonly exit: Exit | undefined;
}

export interface Exit {
  readonly code: number;
  readonly signal: string;
  readonly oom: boolean;
  readonly atWallMs: number;
  readonly message: string;
  /** Ended by a reboot or with its supervisor: rescheduling, not a crash. */
  readonly lost: boolean;
}

export interface TaskController {
  /** Everything before the first instruction of the task; afterwards it is READY. */
  prepare(signal: AbortSignal): Promise<void>;
  /** Resolves when its process runs; afterwards it is STARTING. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when it has ended; at once if it has. */
  wait(signal: AbortSignal): Promise<Exit>;
  /** Stop signal, grace, kill; resolves when nothing of it is left. */
  shutdown(signal: AbortSignal): Promise<void>;
  /** Kill now. */
  terminate(): Promise<void>;
  /** Deletes what is left but its logs. Refused while it runs. */
  remove(): Promise<void>;
  status(): Promise<RuntimeStatus>;
  /** Runs a health command in the task's surroundings. */
  probeCommand(
    command: readonly string[],
    timeoutMs: number,
  ): Promise<{ readonly code: number; readonly output: string }>;
}

export interface RuntimeStatus {
  readonly pid: number;
  readonly ports: readonly PortBinding[];
  /** What the task was promised and this machine does not give it; empty most of the time. */
  readonly warning: string;
  /** Address at which this machine itself reaches the task's ports. */
  readonly host: string;
}

/** `temporary`: the agent tries again with back-off. Else the task is REJECTED (before STARTING) or FAILED. */
export class RuntimeError extends Error {
  override readonly name = 'RuntimeError';
  readonly code: RuntimeErrorCode;
  readonly temporary: boolean;
  constructor(code: RuntimeErrorCode, message: string, temporary = false, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.temporary = temporary;
  }
}
export type RuntimeErrorCode =
  | 'COMMAND_NOT_FOUND'
  | 'WORKDIR_NOT_FOUND'
  | 'USER_UNKNOWN'
  | 'NOT_ALLOWED'
  | 'UNSUPPORTED'
  | 'INVALID_SPEC'
  | 'PORT'
  | 'RESOURCE'
  | 'LOST'
  | 'IO'
  | 'IMAGE_NOT_FOUND'
  | 'IMAGE_AUTH'
  | 'IMAGE_PLATFORM'
  | 'IMAGE_INVALID'
  | 'PULL_FAILED'
  | 'UNAVAILABLE';

/** The states a controller's task passes through on the agent. */
export type AgentTaskState = TaskState;
