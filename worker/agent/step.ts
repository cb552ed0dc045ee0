import { TaskState } from '../../proto/index.ts';
import type { Exit } from '../runtime.ts';

/** All that the next step of a task depends on. */
export interface StepInput {
  readonly state: TaskState;
  readonly desired: TaskState;
  /** No manager knows it any more. */
  readonly removed: boolean;
  /** The agent itself decided to stop it, and this is what it then is; NEW: it did not. */
  readonly endAs: TaskState;
  readonly endMessage: string;
  /** The runtime said that its process runs; false after a restart of the daemon until asked. */
  readonly running: boolean;
  /** Its health check holds, or there is none. */
  readonly healthy: boolean;
  readonly exit: Exit | undefined;
  /** The leader has committed its present status. */
  readonly committed: boolean;
}

export type Action =
  /** Nothing to do until something changes. */
  | { readonly do: 'rest' }
  /** Only the state changes. */
  | { readonly do: 'enter'; readonly state: TaskState }
  | { readonly do: 'prepare' }
  | { readonly do: 'start' }
  /** It runs: the end, health and orders are waited for. */
  | { readonly do: 'watch' }
  | { readonly do: 'stop' }
  | { readonly do: 'end'; readonly state: TaskState; readonly message: string }
  /** Everything but its logs goes. */
  | { readonly do: 'forget' };

/**
 * swarmkit's state machine as far as an agent has a part in it: states only rise, a task past READY
 * only where it is ordered to run, and an end is an end.
 */
export function step(input: StepInput): Action {
  const { state, endAs } = input;
  const gone = input.removed || input.desired >= TaskState.REMOVE;
  if (state >= TaskState.COMPLETE) {
    return gone && input.committed ? { do: 'forget' } : { do: 'rest' };
  }
  const stopping = gone || input.desired >= TaskState.SHUTDOWN || endAs !== TaskState.NEW;
  if (input.exit && state >= TaskState.STARTING) {
    return { do: 'end', ...outcome(input.exit, stopping, input) };
  }
  if (stopping) {
    if (state >= TaskState.STARTING) return { do: 'stop' };
    return {
      do: 'end',
      state: endAs === TaskState.NEW ? TaskState.SHUTDOWN : endAs,
      message: input.endMessage || 'stopped before it started',
    };
  }
  switch (state) {
    case TaskState.ACCEPTED:
      return { do: 'enter', state: TaskState.PREPARING };
    case TaskState.PREPARING:
      return { do: 'prepare' };
    case TaskState.READY:
      return input.desired >= TaskState.RUNNING
        ? { do: 'enter', state: TaskState.STARTING }
        : { do: 'rest' };
    case TaskState.STARTING:
      if (!input.running) return { do: 'start' };
      return input.healthy ? { do: 'enter', state: TaskState.RUNNING } : { do: 'watch' };
    case TaskState.RUNNING:
      return input.running ? { do: 'watch' } : { do: 'start' };
    default:
      return { do: 'enter', state: TaskState.ACCEPTED };
  }
}

/** What a task is after its end. One that was ordered to stop has done as it was told. */
function outcome(
  exit: Exit,
  stopping: boolean,
  input: Pick<StepInput, 'endAs' | 'endMessage'>,
): { readonly state: TaskState; readonly message: string } {
  if (stopping) {
    const state = input.endAs === TaskState.NEW ? TaskState.SHUTDOWN : input.endAs;
    return { state, message: input.endMessage || `stopped: ${exit.message}` };
  }
  if (exit.code === 0 && !exit.lost) return { state: TaskState.COMPLETE, message: 'finished' };
  return { state: TaskState.FAILED, message: exit.message };
}
