import type { Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import type {
  AssignedTask,
  ExecRequest,
  FileStatus,
  FilesRequest,
  NodeVolume,
  PortBinding,
  RegistryAuth,
  TaskUsage,
  TerminalSize,
} from '../proto/index.ts';
import type { ImageCheck } from '../shared/distribution/documents.ts';
import type { PullState } from './images/pull-progress.ts';

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
  /** What these tasks use right now; those that do not run are left out. */
  usage(tasks: readonly AssignedTask[]): Promise<readonly TaskUsage[]>;
  /** Where its tasks can have volumes of the node. */
  readonly volumes?: RuntimeVolumes;
}

/** The named volumes of a node. What fails throws RuntimeError. Who removes has asked who uses it. */
export interface RuntimeVolumes {
  list(): readonly NodeVolume[];
  onChange(fn: () => void): void;
  create(
    name: string,
    labels: { readonly [key: string]: string },
    options: { readonly [key: string]: string },
  ): Promise<NodeVolume>;
  remove(name: string): Promise<void>;
  /** A tar archive of what is in it comes out. */
  read(name: string): Promise<FilesSession>;
  /** `replace`: although something is in it. */
  write(name: string, replace: boolean): Promise<VolumeImport>;
  /** Those that a task names. */
  namesOf(task: AssignedTask): readonly string[];
}

/** An archive on its way into a volume. Who has it closes it. */
export interface VolumeImport {
  readonly files: FilesSession;
  /** What came becomes the volume; to be called when `files.done` has resolved. */
  commit(): Promise<void>;
  /** What was not committed goes. */
  close(): Promise<void>;
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
  /**
   * What may take long and keeps no place in the line of starts, as an image. `prepare` does it too
   * where this was not called.
   */
  fetch?(signal: AbortSignal, onProgress: (state: PullState) => void): Promise<void>;
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
  /**
   * Starts one more command in the task's surroundings: as its user, with its environment, under its
   * limits. Throws RuntimeError COMMAND_NOT_FOUND, NOT_EXECUTABLE, NOT_RUNNING, ...
   */
  exec(request: ExecRequest): Promise<ExecSession>;
  /** What of the running task itself can be reached. Its output is in its log. */
  attach(): Promise<AttachSession>;
  /** A connection to a TCP port as the task itself would make it. Throws RuntimeError REFUSED. */
  dial(port: number): Promise<Socket>;
  /** Looks at, reads or writes files of the running task; see FilesRequest. */
  files(request: FilesRequest): Promise<FilesSession>;
}

/** A command that runs in a task. Who has it closes it. */
export interface ExecSession {
  readonly pid: number;
  /** Undefined where it was not asked for. */
  readonly stdin: Writable | undefined;
  /** Undefined where it runs detached. */
  readonly stdout: Readable | undefined;
  /** Undefined with a terminal: there is one output then. */
  readonly stderr: Readable | undefined;
  resize(size: TerminalSize): void;
  /** Resolves with its exit code; its last output may still be on its way. */
  readonly exit: Promise<number>;
  /** Nobody reads it any more, and it goes on. */
  release(): void;
  /** What still runs of it is ended: hung up, then killed. Resolves when nothing of it is left. */
  close(): Promise<void>;
}

/** The way to a task's own process. */
export interface AttachSession {
  /** It has a terminal: its output is one stream of bytes, not of lines. */
  readonly terminal: boolean;
  /** Undefined: it takes no input. */
  readonly stdin: Writable | undefined;
  resize(size: TerminalSize): void;
  /** Throws RuntimeError INVALID_SPEC for what is no signal. */
  signal(name: string): Promise<void>;
  close(): void;
}

/** Files of a task on their way. Who has it closes it. */
export interface FilesSession {
  /** Undefined: there is nothing at that path. */
  readonly file: FileStatus | undefined;
  /** READ: the archive. */
  readonly stdout: Readable | undefined;
  /** WRITE: takes the archive. */
  readonly stdin: Writable | undefined;
  /** Rejects with RuntimeError IO where something could not be read or written. */
  readonly done: Promise<void>;
  close(): void;
}

export interface RuntimeStatus {
  readonly pid: number;
  readonly ports: readonly PortBinding[];
  /** What the task was promised and this machine does not give it; empty most of the time. */
  readonly warning: string;
  /** Address at which this machine itself reaches the task's ports. */
  readonly host: string;
  /** What its image says of checks; absent: nothing, or it has no image. */
  readonly check?: ImageCheck | undefined;
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
  | 'NOT_EXECUTABLE'
  | 'NOT_RUNNING'
  | 'REFUSED'
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
  | 'VOLUME_NOT_FOUND'
  | 'UNAVAILABLE';
